"""A fade goes from one thing to the next, and what is wanted meanwhile waits."""

from __future__ import annotations

from dsp.fade import Fade


def test_a_fade_ends_after_its_frames() -> None:
    fade = Fade("a")
    assert fade.stretch(100) == 100
    fade.to("b", 10)
    assert (fade.here, fade.there, fade.stretch(100)) == ("a", "b", 10)
    fade.advance(4)
    assert (fade.done, fade.stretch(100), fade.stretch(3)) == (4, 6, 3)
    fade.advance(6)
    assert (fade.here, fade.frames, fade.target) == ("b", 0, "b")


def test_what_is_wanted_in_the_middle_waits_and_the_last_of_it_wins() -> None:
    fade = Fade("a")
    fade.to("b", 10)
    fade.to("c", 5)
    fade.to("d", 7)
    assert (fade.there, fade.target) == ("b", "d")
    fade.advance(10)
    assert (fade.here, fade.there, fade.frames) == ("b", "d", 7)


def test_wanting_what_is_faded_to_forgets_what_waited() -> None:
    fade = Fade("a")
    fade.to("b", 10)
    fade.to("c", 5)
    fade.to("b", 5)
    fade.advance(10)
    assert (fade.here, fade.frames) == ("b", 0)


def test_wanting_what_is_there_already_does_nothing() -> None:
    fade = Fade("a")
    fade.to("a", 10)
    assert fade.frames == 0


def test_a_fade_that_is_cut_short_is_at_its_target() -> None:
    fade = Fade("a")
    fade.to("b", 10)
    fade.to("c", 10)
    fade.finish()
    assert (fade.here, fade.there, fade.frames, fade.target) == ("c", "c", 0, "c")


def test_steps_are_counted_at_absolute_frames() -> None:
    fade = Fade("a")
    fade.to("b", 2)
    # From frame 10 the steps at 16 and 32 are the fade's; the one at 48 comes after it.
    assert fade.stretch_in_steps(100, 10, 16) == (38, 2)
    assert fade.stretch_in_steps(7, 10, 16) == (7, 1)
    assert fade.stretch_in_steps(6, 10, 16) == (6, 0)
    assert fade.stretch_in_steps(6, 32, 16) == (6, 1)
    fade.finish()
    assert fade.stretch_in_steps(100, 10, 16) == (100, 6)
