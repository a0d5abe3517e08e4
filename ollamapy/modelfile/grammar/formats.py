"""What the `format` of a schema means for a string, as patterns. Each accepts valid values only, and the usual ones."""

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_LABEL = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?"
_HOST = rf"{_LABEL}(\.{_LABEL}){{0,3}}"
_YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_MONTH_DAY = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_DATE = f"({_YEAR}-{_MONTH_DAY}|{_LEAP_YEAR}-02-29)"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_CLOCK}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_CLOCK})"
_HEX = "[0-9a-fA-F]"
_NUM = "[0-9]{1,4}"

PATTERNS = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "duration": f"^P({_NUM}W|{_NUM}D(T{_NUM}[HMS])?|T{_NUM}(H({_NUM}M({_NUM}S)?)?|M({_NUM}S)?|S))$",
    "uuid": f"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}$",
    "email": rf"^[A-Za-z0-9_+-]{{1,30}}(\.[A-Za-z0-9_+-]{{1,30}}){{0,3}}@{_HOST}$",
    "hostname": f"^{_HOST}$",
    "ipv4": rf"^{_OCTET}(\.{_OCTET}){{3}}$",
    "ipv6": f"^{_HEX}{{1,4}}(:{_HEX}{{1,4}}){{7}}$",
    "uri": rf"^https?://{_HOST}(:[1-9][0-9]{{0,3}})?(/[A-Za-z0-9._~-]*)*(\?[A-Za-z0-9._~=&-]*)?$",
}

ANNOTATIONS = frozenset({"password", "binary", "float", "double", "int32", "int64"})
"""Formats that say something about numbers, or how a value is shown: a string is as good as any other."""

WHOLE_BITS = {"int32": 32, "int64": 64}
"""Formats that hold a whole number back."""
