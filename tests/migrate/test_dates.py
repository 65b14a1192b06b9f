"""Reading times: the quick way through the formats finds what trying every one of them finds."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as some

from trueup.migrate import dates

SECONDS_MAX = int(datetime(2099, 12, 31, tzinfo=UTC).timestamp())


@some.composite
def written(draw: some.DrawFn) -> str:
    """A time in one of the formats, perhaps with a slip of the pen, or any text."""
    form = draw(some.sampled_from(dates._DAYS)) + draw(some.sampled_from(dates._TIMES))
    moment = datetime.fromtimestamp(draw(some.integers(-SECONDS_MAX // 2, SECONDS_MAX)), UTC)
    text: str = moment.strftime(form) if draw(some.integers(0, 3)) else draw(some.text())
    at: int = draw(some.integers(0, len(text)))
    slip: str = draw(some.sampled_from(("", "", *"0123456789 .-/:TZa,")))
    return text[:at] + slip + text[at + draw(some.integers(0, 1)) :]


@settings(max_examples=300)
@given(written())
def test_the_readings_of_a_text_are_those_of_every_format_in_turn(text: str):
    tried = [(form, dates.read_as(text.strip(), form)) for form in dates.FORMATS]
    assert list(dates._readings(text)) == [(form, at) for form, at in tried if at is not None]
