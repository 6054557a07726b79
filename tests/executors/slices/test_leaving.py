"""`leave_out` and `refuse`: which nodes stay behind, and which of them have failed."""

from dask_dispatcher import Op
from dask_dispatcher.errors import SerializationError
from dask_dispatcher.executors.slices.leaving import leave_out, refuse
from tests.executors.slices.local import Local


def first(*args):
    return args[0]


def second(*args):
    return args[1]


def left(packed):
    """The numbers, by entries and by columns, which have to agree."""
    assert [entry[0] for entry in packed.entries] == packed.numbers
    return packed.numbers


def test_nothing_missing_leaves_columns_as_they_are():
    local = Local(Op(first, Op(first)))
    packed, _ = local.packer.pack(local.order)
    columns = packed.columns
    assert leave_out(packed, local.plan, {}) == []
    assert refuse(packed, local.plan, {}) == []
    assert packed.columns is columns


def test_who_takes_what_cannot_be_sent_fails_and_what_follows_stays_behind():
    source, other = Op(first, 1), Op(first, 2)
    user, fine = Op(first, source), Op(second, other, other)
    local = Local(Op(first, user, other), fine)
    packed, _ = local.packer.pack([n for n in local.order if n != local.number(source)])
    error = SerializationError("it cannot be pickled")
    failed = leave_out(packed, local.plan, {local.number(source): error})
    assert failed == [(local.number(user), error)]
    assert sorted(left(packed)) == sorted(map(local.number, (other, fine)))


def test_who_takes_what_is_lost_at_the_moment_has_not_failed():
    source, other = Op(first, 1), Op(first, 2)
    local = Local(Op(first, source), other)
    packed, _ = local.packer.pack([n for n in local.order if n != local.number(source)])
    assert leave_out(packed, local.plan, {local.number(source): None}) == []
    assert left(packed) == [local.number(other)]


def test_a_literal_that_is_missing_fails_its_nodes_alone():
    shared = bytearray(300_000)
    one, other = Op(first, shared), Op(first, 2)
    local = Local(one, other)
    packed, _ = local.packer.pack(local.order)
    (literal,) = packed.large
    error = SerializationError("it has no room")
    assert leave_out(packed, local.plan, {literal: error}) == [(local.number(one), error)]
    assert left(packed) == [local.number(other)]


def test_functions_that_cannot_travel_fail_their_own_nodes_by_name():
    bad = Op(second, 1, 2)
    bad.label = "the bad one"
    follows, fine = Op(first, bad), Op(first, 3)
    local = Local(follows, fine)
    packed, _ = local.packer.pack(local.order)
    target = local.packer.target_of(local.number(bad))
    ((number, error),) = refuse(packed, local.plan, {target: SerializationError("of no use")})
    assert number == local.number(bad)
    assert error.node is bad
    assert str(error) == "the bad one cannot travel to a worker: of no use"
    assert left(packed) == [local.number(fine)]
    assert packed.functions == {local.packer.target_of(local.number(fine))}
