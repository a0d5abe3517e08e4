"""Native fields in other APIs' requests, and base64 as Go judges it."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.dialects.body import decode
from ollamapy.dialects.extra import extras_of
from ollamapy.errors import InvalidInput, Unsupported
from ollamapy.pictures import base64_fault
from ollamapy.wire.extra import ExtraFields


class Small(msgspec.Struct, frozen=True):
    """A native request that knows two of the fields."""

    keep_alive: object = None
    tool_choice: object = None


def test_fields_that_were_given_are_passed_on() -> None:
    assert extras_of(ExtraFields(keep_alive=0), Small, tool_choice=None) == {"keep_alive": 0}
    assert extras_of(ExtraFields(), Small, tool_choice="required") == {"tool_choice": "required"}


def test_a_field_that_the_native_request_does_not_know_is_refused_not_dropped() -> None:
    with pytest.raises(Unsupported, match="grammar is not supported yet"):
        extras_of(ExtraFields(grammar="root ::= x"), Small)


@pytest.mark.parametrize("priority", ['"high"', "1.5", "true", "[]"])
def test_a_priority_is_a_whole_number(priority: str) -> None:
    with pytest.raises(InvalidInput, match=r"Expected `int \| null`"):
        decode(f'{{"priority": {priority}}}'.encode(), ExtraFields)


@given(st.binary())
def test_what_an_encoder_makes_has_no_fault(data: bytes) -> None:
    assert base64_fault(base64.b64encode(data).decode()) == ""


@pytest.mark.parametrize(("text", "place"), [("A", 1), ("AA", 2), ("AA=", 3), ("A===", 3), ("AA-A", 2), ("AA\nA", 2)])
def test_a_fault_names_its_place(text: str, place: int) -> None:
    assert base64_fault(text) == f"illegal base64 data at input byte {place}"
