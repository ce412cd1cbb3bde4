"""How the one RocksDB of a node is set up: small in memory, few threads, strict about damage, no log of its own."""

from __future__ import annotations

from rocksdict import BlockBasedOptions, Cache, Options, WriteOptions

from .descriptors import limit, table_files

MIB = 1 << 20

BLOCK_CACHE_BYTES = 16 * MIB
WRITE_BUFFER_BYTES = 4 * MIB
"""A row is put into a small sorted list in half the time that it takes in one of 32 MiB, which no processor's cache holds."""
MERGED_BUFFERS = 4
"""So many are written out together, or a segment of the journal is full before. A range read looks into each of them."""
MAX_BUFFERS = 16
"""A write waits where so many are full and the disk takes none."""
BUFFER_FILTER = 0.05
"""Of a buffer, for the filter that spares a read the buffers which have not its key."""

DELETED_WINDOW, DELETED_IN_WINDOW = 4_096, 3_072
"""A file is compacted at once if that many of so many neighbours are deleted."""

MIN_BLOB_BYTES = 16 * 1024
"""Values from this size on lie in files of their own."""
_NEVER = 1 << 30


def table_options(create: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.set_error_if_exists(create)
    options.set_paranoid_checks(True)
    options.set_max_background_jobs(2)
    options.set_max_file_opening_threads(1)
    options.set_max_open_files(table_files(limit()))
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(4 * MIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_min_write_buffer_number_to_merge(MERGED_BUFFERS)
    options.set_max_write_buffer_number(MAX_BUFFERS)
    options.set_memtable_prefix_bloom_ratio(BUFFER_FILTER)
    options.set_memtable_whole_key_filtering(True)
    # never wait for a compaction: on a full disk it does not come, and a flush or a write would block the node for ever
    options.set_level_zero_slowdown_writes_trigger(_NEVER)
    options.set_level_zero_stop_writes_trigger(_NEVER)
    # files that hold little but deleted keys are compacted at once: every scan walks over those
    options.add_compact_on_deletion_collector_factory(DELETED_WINDOW, DELETED_IN_WINDOW, 0.0)
    # a block holds neighbours: a small value beside a large one would cost the reading of both
    options.set_enable_blob_files(True)
    options.set_min_blob_size(MIN_BLOB_BYTES)
    options.set_enable_blob_gc(True)
    table = BlockBasedOptions()
    table.set_block_cache(Cache(BLOCK_CACHE_BYTES))
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    return options


def write_options() -> WriteOptions:
    """Into memory only: the journal has it too (journal.py)."""
    options = WriteOptions()
    options.disable_wal = True  # type: ignore[method-assign, assignment]  # the stub takes this attribute for a method
    return options
