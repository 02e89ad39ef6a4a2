"""What went wrong with other rules stays right, and each of those rules is noticed.

`mistakes` plants a rule that was given up in the real code; the story named beside it, or some
seeds, must then go wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.bridge import mistakes, stories
from tests.simulation.bridge.mistakes import Mistake
from tests.simulation.bridge.stories import STORIES, Story, tell

SEEDS = range(3)
"""Of the delays on the links and of who speaks first."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_a_story_ends_with_the_newest_edit_everywhere_and_without_false_conflicts(
    story: Story,
) -> None:
    for seed in SEEDS:
        assert tell(story, seed=seed) == []


@pytest.mark.parametrize(
    ("mistake", "story"),
    [
        (mistakes.new_version_for_a_tree_revision, stories.HOLE),
        (mistakes.new_version_for_a_tree_revision, stories.DELETED_AND_MADE_ANEW),
        (mistakes.digests_are_hashes, stories.READ_BACK),
        (mistakes.never_lifted, stories.LIFTED),
        (mistakes.history_as_seen, stories.COURIER),
        (mistakes.fillers_without_versions, stories.COURIER),
        (mistakes.conflicts_refused, stories.OTHER_BRANCH),
        (mistakes.engines_table, stories.OFTEN_AHEAD),
        (mistakes.announced_at_once, stories.CROSSING_ROW),
        (mistakes.later_version_wins, stories.EACH_BELOW_THE_OTHER),
        (mistakes.holes_not_trusted, stories.HOLE),
        (mistakes.pruned_histories_not_trusted, stories.PRUNED),
    ],
    ids=lambda one: one.title if isinstance(one, Story) else one.__name__,
)
def test_a_planted_mistake_makes_its_story_go_wrong(mistake: Mistake, story: Story) -> None:
    with mistake():  # What goes wrong only if messages cross does not at every seed.
        told = (tell(story, seed=seed) for seed in range(10))
        failures = next((failures for failures in told if failures), [])
    assert failures
    assert not [failure for failure in failures if "error of settee's own" in failure]


def test_without_tree_names_between_settee_peers_nothing_goes_wrong() -> None:
    # They make heights equal, which correctness does not need.
    with mistakes.no_tree_names_at_level_4():
        for story in STORIES:
            assert tell(story) == []
