"""Values in the format of Redis's RDB files: what DUMP returns and RESTORE takes.

commands.py   DUMP and RESTORE: type, value, and what stands behind it (sealing.py: version, crc64.py)
loading.py    a value that was read, as the members of a piece (portable/pieces.py); streams.py: of a stream
saving.py     a value that is written; lzf.py: compressed
reading.py    lengths and strings; packed.py: listpacks and older compact forms
"""
