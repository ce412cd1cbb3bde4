"""Values in the format of Redis's RDB files: what DUMP returns and RESTORE takes.

commands.py   DUMP and RESTORE: type, value, version (2), crc64 (8)
loading.py    a value that was read, as the members of a piece (portable/pieces.py); streams.py: of a stream
saving.py     a value that is written
reading.py    lengths and strings; packed.py: listpacks and older compact forms
"""
