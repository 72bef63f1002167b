"""What is known of primaries, told by nothing but reports: pure."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from authz_sidecar.sessions.redis.primaries import (
    SENTINELS_ADDRESS,
    OutdatedReportError,
    PrimaryRegistry,
)

if TYPE_CHECKING:
    from authz_sidecar.sessions.redis.primaries import ConnectionAttempt


class Cut:
    """A connection, which is cut or not."""

    def __init__(self) -> None:
        self.is_cut = False

    def abort(self) -> None:
        self.is_cut = True


def listening(primaries: PrimaryRegistry, *addresses: str) -> None:
    """An epoch has begun with these, each of which is the server of its own name."""
    generations = {primaries.report(primaries.begin_attempt(), each, each) for each in addresses}
    primaries.begin_epoch(generations.pop(), addresses)


@pytest.mark.parametrize(
    ("reports", "terms"),
    [
        pytest.param([("", "a"), ("", "a"), ("", "a")], 0, id="always the same"),
        pytest.param([("", "a"), ("", "b")], 1, id="another"),
        pytest.param([("", "a"), ("", "b"), ("", "b")], 1, id="another, and again"),
        pytest.param([("", "a"), ("", "b"), ("", "a")], 2, id="there and back"),
        pytest.param([("1", "a"), ("2", "b"), ("1", "a")], 0, id="two addresses"),
        pytest.param([("1", "a"), ("2", "b"), ("2", "c")], 1, id="one of two addresses"),
        pytest.param(
            [(SENTINELS_ADDRESS, "1"), ("", "a"), (SENTINELS_ADDRESS, "2")],
            1,
            id="named by the Sentinels",
        ),
    ],
)
def test_a_term_ends_when_another_server_answers(
    reports: list[tuple[str, str]], terms: int
) -> None:
    primaries = PrimaryRegistry()
    for address, identity in reports:
        primaries.report(primaries.begin_attempt(), address, identity)
    assert primaries.term == terms


class TestReportsThatCrossEachOther:
    def test_the_one_that_began_first_says_less(self) -> None:
        primaries = PrimaryRegistry()
        first, second = primaries.begin_attempt(), primaries.begin_attempt()
        primaries.report(second, "", "new")
        with pytest.raises(OutdatedReportError):
            primaries.report(first, "", "old")
        assert primaries.term == 0

    def test_the_one_that_began_last_says_more(self) -> None:
        primaries = PrimaryRegistry()
        first, second = primaries.begin_attempt(), primaries.begin_attempt()
        primaries.report(first, "", "old")
        primaries.report(second, "", "new")
        assert primaries.term == 1

    def test_what_began_in_an_earlier_term_counts_where_it_agrees(self) -> None:
        primaries = PrimaryRegistry()
        primaries.report(primaries.begin_attempt(), "", "old")
        one, other = primaries.begin_attempt(), primaries.begin_attempt()
        primaries.report(primaries.begin_attempt(), "", "new")
        assert primaries.report(one, "", "new") == primaries.generation
        with pytest.raises(OutdatedReportError):
            primaries.report(other, "", "old")
        assert primaries.term == 1

    def test_what_began_before_a_loss_says_nothing(self) -> None:
        primaries = PrimaryRegistry()
        dial = primaries.begin_attempt()
        primaries.end_term("silence")
        with pytest.raises(OutdatedReportError):
            primaries.report(dial, "", "old")


class TestEpochs:
    def test_one_uses_connections_of_its_own(self) -> None:
        primaries = PrimaryRegistry()
        before = primaries.report(primaries.begin_attempt(), "", "a")
        listening(primaries, "")
        assert before != primaries.generation

    def test_none_begins_with_what_is_outdated(self) -> None:
        primaries = PrimaryRegistry()
        generation = primaries.report(primaries.begin_attempt(), "", "a")
        primaries.end_term("silence")
        with pytest.raises(OutdatedReportError):
            primaries.begin_epoch(generation, [""])
        generation = primaries.report(primaries.begin_attempt(), "", "a")
        primaries.end_epoch("slots have moved")
        with pytest.raises(OutdatedReportError):
            primaries.begin_epoch(generation, [""])

    def test_none_begins_without_a_report(self) -> None:
        primaries = PrimaryRegistry()
        with pytest.raises(OutdatedReportError):
            primaries.begin_epoch(primaries.generation, [""])

    def test_two_listeners_agree(self) -> None:
        primaries = PrimaryRegistry()
        listening(primaries, "1", "2")
        listening(primaries, "1", "2")
        assert primaries.term == 0

    def test_or_both_begin_anew(self) -> None:
        primaries = PrimaryRegistry()
        ended: list[str] = []
        listening(primaries, "1", "2")
        primaries.subscribe(ended.append)
        with pytest.raises(OutdatedReportError):
            listening(primaries, "1")
        assert len(ended) == 1

    def test_a_server_that_nobody_listens_to_ends_it(self) -> None:
        primaries = PrimaryRegistry()
        ended: list[str] = []
        listening(primaries, "1", "2")
        primaries.subscribe(ended.append)
        primaries.report(primaries.begin_attempt(), "3", "c")
        assert ended == ["a primary answers at which changes are not tracked"]

    def test_so_does_one_that_was_only_asked_before(self) -> None:
        primaries = PrimaryRegistry()
        primaries.report(primaries.begin_attempt(), "3", "c")
        listening(primaries, "1", "2")
        assert primaries.term == 0
        primaries.report(primaries.begin_attempt(), "3", "c")
        assert primaries.term == 1


def test_connections_are_cut_with_their_term() -> None:
    primaries = PrimaryRegistry()
    kept, left = Cut(), Cut()
    for each in (kept, left):
        primaries.register(each)
    primaries.unregister(left)
    primaries.end_epoch("slots have moved")
    assert not kept.is_cut
    primaries.end_term("silence")
    assert (kept.is_cut, left.is_cut) == (True, False)


def test_connections_that_are_gone_are_forgotten() -> None:
    primaries = PrimaryRegistry()
    for _ in range(100):
        primaries.register(Cut())
    gc.collect()
    assert len(primaries._connections) == 0


@pytest.mark.parametrize(
    ("known", "terms"), [pytest.param(True, 1, id="known"), pytest.param(False, 0, id="new")]
)
def test_a_replica_ends_what_was_a_primary(*, known: bool, terms: int) -> None:
    primaries = PrimaryRegistry()
    if known:
        primaries.report(primaries.begin_attempt(), "", "a")
    primaries.report_replica("")
    assert primaries.term == terms


def test_whoever_has_left_is_told_nothing() -> None:
    primaries = PrimaryRegistry()
    told: list[str] = []
    primaries.subscribe(told.append)
    primaries.end_term("one")
    primaries.unsubscribe(told.append)
    primaries.unsubscribe(told.append)
    primaries.end_term("other")
    assert told == ["one"]


ADDRESSES = ["1", "2"]


class Failovers(RuleBasedStateMachine):
    """Addresses change hands at any moment, dials take as long as they like, and epochs begin and
    end in between. Whatever the order: a connection that may be used leads to the server that the
    newest finished dial has found, and in an epoch to one that is listened to."""

    def __init__(self) -> None:
        super().__init__()
        self.primaries = PrimaryRegistry()
        self.primaries.subscribe(self.ended)
        self.now = dict.fromkeys(ADDRESSES, "a")
        self.dials: list[tuple[ConnectionAttempt, str, str]] = []
        self.connections: list[tuple[int, str, str, Cut]] = []
        self.newest: dict[str, tuple[int, str]] = {}
        self.listened: dict[str, str] | None = None

    def ended(self, _: str) -> None:
        self.listened = None

    @rule(address=st.sampled_from(ADDRESSES), server=st.sampled_from("abc"))
    def change_hands(self, address: str, server: str) -> None:
        self.now[address] = server

    @rule(address=st.sampled_from(ADDRESSES))
    def dial(self, address: str) -> None:
        self.dials.append((self.primaries.begin_attempt(), address, self.now[address]))

    @precondition(lambda self: self.dials)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.dials) - 1))
        dial, address, server = self.dials.pop(at)
        number, _ = self.newest.get(address, (0, ""))
        if dial.number > number:
            self.newest[address] = dial.number, server
        try:
            generation = self.primaries.report(dial, address, server)
        except OutdatedReportError:
            return
        connection = Cut()
        self.primaries.register(connection)
        self.connections.append((generation, address, server, connection))

    @rule()
    def lose(self) -> None:
        self.primaries.end_term("silence")

    @rule()
    def move(self) -> None:
        self.primaries.end_epoch("slots have moved")

    @rule()
    def listen(self) -> None:
        """On what can be used at the moment."""
        usable = {address: server for _, address, server, _ in self.usable()}
        try:
            self.primaries.begin_epoch(self.primaries.generation, usable.keys())
        except OutdatedReportError:
            return
        self.listened = usable

    def usable(self) -> list[tuple[int, str, str, Cut]]:
        return [each for each in self.connections if each[0] == self.primaries.generation]

    @invariant()
    def what_may_be_used_is_where_its_address_leads(self) -> None:
        by_address: dict[str, str] = {}
        for _, address, server, connection in self.usable():
            assert not connection.is_cut
            assert by_address.setdefault(address, server) == server
            assert self.newest[address][1] == server

    @invariant()
    def an_epoch_uses_what_is_listened_to(self) -> None:
        if self.listened is not None:
            for _, address, server, _ in self.usable():
                assert self.listened[address] == server


TestFailovers = Failovers.TestCase
TestFailovers.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
