"""How the one RocksDB of a node is set up: small in memory, few threads, strict about damage."""

from __future__ import annotations

from rocksdict import BlockBasedOptions, Cache, DBRecoveryMode, Options

MIB = 1 << 20

PLOG, DATA, META = "plog", "data", "meta"
"""Column families. The default one stays empty."""

BLOCK_CACHE_BYTES = 16 * MIB
MAX_WAL_BYTES = 32 * MIB
"""Bounds what a start has to replay."""


def database_options(create: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.create_missing_column_families(create)
    options.set_error_if_exists(create)
    options.set_paranoid_checks(True)
    # anything but a torn end is damage; wal_check.py looks closer still (rule 8)
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_max_total_wal_size(MAX_WAL_BYTES)
    options.set_max_background_jobs(2)
    options.set_max_file_opening_threads(1)
    options.set_max_open_files(512)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(4 * MIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_write_buffer_size(MIB)
    return options


def family_options() -> dict[str, Options]:
    """Options by column family; they share one block cache."""
    cache = Cache(BLOCK_CACHE_BYTES)
    return {PLOG: _family(cache, 8 * MIB), DATA: _family(cache, 8 * MIB), META: _family(cache, MIB)}


def _family(cache: Cache, write_buffer_bytes: int) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(10, False)
    options = Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(write_buffer_bytes)
    options.set_max_write_buffer_number(2)
    return options
