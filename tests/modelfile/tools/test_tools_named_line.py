"""A name on a line, JSON below: GLM 4 and Functionary 3.2; and Functionary 3.1's tag."""

import pytest
from tool_answers import NOW, PARIS, read, warned

from ollamapy.modelfile.tools import function_tag, named_line
from ollamapy.modelfile.tools.found import Call, Found

GLM, FUNCTIONARY = named_line.new_glm4, named_line.new_functionary
WEATHER, TIME = 'get_weather\n{"city": "Paris"}', "get_time\n{}"


@pytest.mark.parametrize("between", ["", "\n", "<|assistant|>", "\n<|assistant|>"])
@pytest.mark.parametrize("before", ["", "\n", "<|assistant|>"])
def test_glm_calls_by_a_name_and_an_object(before: str, between: str) -> None:
    assert read(GLM, f"{before}{WEATHER}{between}{TIME}") == Found(calls=(PARIS, NOW))


def test_glm_speaks_before_it_calls() -> None:
    assert read(GLM, f"\nI look.<|assistant|>{WEATHER}") == Found("\nI look.", calls=(PARIS,))


@pytest.mark.parametrize(
    "text", ["\nHello.", "get_time", "get_time\n", "get_weather is a tool\n{}", "fly\n{}", "get_\n{}", ""]
)
def test_what_names_no_offered_tool_is_content(text: str) -> None:
    assert read(GLM, text) == Found(text)


@pytest.mark.parametrize("body", ['{"city": Paris}', '{"city": "Par'])
def test_an_object_that_cannot_be_read_is_content_and_a_warning(body: str) -> None:
    assert warned(read(GLM, f"get_weather\n{body}")) == (f"get_weather\n{body}", (), 1)


@pytest.mark.parametrize("before", ["", ">>>"])
def test_functionary_says_whom_it_speaks_to(before: str) -> None:
    text = f"{before}all\nI look.>>>{WEATHER}\n>>>{TIME}"

    assert read(FUNCTIONARY, text) == Found("I look.", calls=(PARIS, NOW))


def test_functionary_calls_at_once() -> None:
    assert read(FUNCTIONARY, f"{WEATHER}>>>{TIME}>>>all\nDone.") == Found("Done.", calls=(PARIS, NOW))


@pytest.mark.parametrize("text", [">>> print(1)\n1", "a >>", "x >>>fly\n{}", ">>>"])
def test_a_prompt_of_python_is_content(text: str) -> None:
    assert read(FUNCTIONARY, f"all\nSee: {text}") == Found(f"See: {text}")


@pytest.mark.parametrize("text", ["Hello", "al", "all", "allow\nme"])
def test_an_answer_to_nobody_is_content(text: str) -> None:
    assert read(FUNCTIONARY, text) == Found(text)


@pytest.mark.parametrize("closing", ["</function>", ""])
def test_a_function_tag_holds_the_name_and_an_object(closing: str) -> None:
    text = f'Sure. <function=get_weather>{{"city": "Paris"}}{closing}'

    assert read(function_tag.new, text) == Found("Sure.", calls=(PARIS,))


@pytest.mark.parametrize("body", [">{}", "get_time", "get_time>{a}", "a b>{}"])
def test_a_function_tag_around_no_call_is_content_and_a_warning(body: str) -> None:
    text = f"<function={body}</function>"

    assert warned(read(function_tag.new, text)) == (text, (), 1)


def test_several_function_tags_are_several_calls() -> None:
    text = '<function=get_time>{}</function><function=fly>{"to": "Rome"}</function>'

    assert read(function_tag.new, text) == Found(calls=(NOW, Call("fly", {"to": "Rome"})))
