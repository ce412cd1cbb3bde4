from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Code(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OK: _ClassVar[Code]
    BALANCE_NOT_ENOUGH: _ClassVar[Code]
    CARD_DOES_NOT_EXIST: _ClassVar[Code]
    CARD_EXISTS: _ClassVar[Code]
OK: Code
BALANCE_NOT_ENOUGH: Code
CARD_DOES_NOT_EXIST: Code
CARD_EXISTS: Code

class CardInfo(_message.Message):
    __slots__ = ("user_name", "user_id", "balance", "last_modified_time")
    USER_NAME_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    LAST_MODIFIED_TIME_FIELD_NUMBER: _ClassVar[int]
    user_name: str
    user_id: int
    balance: int
    last_modified_time: int
    def __init__(self, user_name: _Optional[str] = ..., user_id: _Optional[int] = ..., balance: _Optional[int] = ..., last_modified_time: _Optional[int] = ...) -> None: ...

class CardRequest(_message.Message):
    __slots__ = ("entity_id", "card_id", "uuid", "card_info", "delta")
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_ID_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    CARD_INFO_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    entity_id: int
    card_id: int
    uuid: bytes
    card_info: CardInfo
    delta: int
    def __init__(self, entity_id: _Optional[int] = ..., card_id: _Optional[int] = ..., uuid: _Optional[bytes] = ..., card_info: _Optional[_Union[CardInfo, _Mapping]] = ..., delta: _Optional[int] = ...) -> None: ...

class CardResponse(_message.Message):
    __slots__ = ("code", "card_info", "received_time_ms", "replied_time_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    CARD_INFO_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    REPLIED_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    code: Code
    card_info: CardInfo
    received_time_ms: int
    replied_time_ms: int
    def __init__(self, code: _Optional[_Union[Code, str]] = ..., card_info: _Optional[_Union[CardInfo, _Mapping]] = ..., received_time_ms: _Optional[int] = ..., replied_time_ms: _Optional[int] = ...) -> None: ...
