"""Editing, branches, merging, comparing, templates, agents."""

from __future__ import annotations

import pytest

from sessionstore import errors
from sessionstore.manager import Session, SessionManager
from sessionstore.verify import verify


def texts(session: Session) -> list[str]:
    """What is said, in order."""
    return [message["parts"][0].get("content", "") for message in session.history()]


@pytest.fixture
def session(manager: SessionManager) -> Session:
    made = manager.create("main", model="gpt-4o", system="Be brief.")
    for n in range(4):
        made.add_user(f"question {n}")
        made.add_assistant(f"answer {n}")
    return made


def test_an_edit_keeps_how_it_was(manager: SessionManager, session: Session) -> None:
    message = session.messages()[1]["id"]
    before = session.revision
    session.edit(message, "better question")
    assert texts(session)[1] == "better question"
    assert session.messages()[1]["id"] == message
    assert session.messages()[1]["x"]["edited_at"]
    known = manager.store.revisions_of(session.key)
    assert before["_name"] in {one["_name"] for one in known}
    assert len(manager.store.heads(session.key)) == 1
    assert list(manager.store.messages(before))[1]["parts"][0]["content"] == "question 0"


def test_after_an_edit_the_session_goes_on_and_its_history_stays(manager: SessionManager, session: Session) -> None:
    session.edit(1, "better")
    for n in range(5):
        session.add_user(f"more {n}")
    assert len(manager.store.revisions_of(session.key)) == 2
    assert len(manager.store.heads(session.key)) == 1
    fresh = SessionManager(manager.store, index=False).get("main")
    fresh.add_user("from another manager")
    assert texts(session)[-1] == "from another manager"
    assert len(manager.store.heads(session.key)) == 1
    assert verify(manager.store).ok


def test_a_deleted_message_is_gone_but_in_history(manager: SessionManager, session: Session) -> None:
    session.delete_message(2)
    assert "answer 0" not in texts(session)
    assert session.count == 8
    assert manager.search('"answer 0"') == []
    with pytest.raises(errors.NotFound):
        session.delete_message("nobody")
    with pytest.raises(errors.NotFound):
        session.edit(100, "x")


def test_an_edit_that_makes_a_message_invalid_changes_nothing(session: Session) -> None:
    name = session.revision["_name"]
    with pytest.raises(errors.UsageError):
        session.edit(1, role="robot")
    assert session.revision["_name"] == name


def test_those_that_followed_a_deleted_message_follow_the_one_before(manager: SessionManager) -> None:
    session = manager.create()
    part = [{"type": "text", "content": "x"}]
    session.append([{"id": "a", "role": "user", "parts": part, "parent": None}])
    session.append([{"id": "b", "role": "assistant", "parts": part, "parent": "a"}])
    session.append([{"id": "c", "role": "user", "parts": part, "parent": "b"}])
    session.delete_message("b")
    assert [(one["id"], one.get("parent")) for one in session.messages()] == [("a", None), ("c", "a")]


def test_a_branch_begins_as_its_origin_and_goes_its_own_way(manager: SessionManager, session: Session) -> None:
    at = session.messages()[2]["id"]
    branch = session.branch(at, "side")
    branch.add_user("another way")
    assert texts(branch) == ["Be brief.", "question 0", "answer 0", "another way"]
    assert session.count == 9
    assert branch.revision["forked_from"] == {"key": "native:main", "message": at, "relation": "fork"}
    assert branch.model == "gpt-4o"
    with pytest.raises(errors.NotFound):
        session.branch("nobody")


def test_a_branch_shares_the_pages_of_the_beginning(manager: SessionManager) -> None:
    session = manager.create("long")
    session.append([{"role": "user", "content": "x" * 1000} for _ in range(200)])
    before = sum(1 for _ in manager.store.objects.all())
    branch = session.branch(150)
    assert sum(1 for _ in manager.store.objects.all()) == before
    shared = len(branch.revision["pages"])
    assert shared >= 4
    assert branch.revision["pages"] == session.revision["pages"][:shared]


def test_a_branch_before_a_switch_has_the_model_of_that_time(session: Session) -> None:
    session.switch_model("claude-sonnet-4-5", consent=True)
    session.add_user("more")
    assert session.branch(4).model == "gpt-4o"
    assert session.branch().model == "claude-sonnet-4-5"


def test_an_imported_tree_branches_along_its_path(manager: SessionManager) -> None:
    def node(name: str, parent: str | None) -> dict[str, object]:
        role = "user" if name[0] == "u" else "assistant"
        return {"id": name, "role": role, "parent": parent, "parts": [{"type": "text", "content": name}]}

    nodes = [node("u1", None), node("a1", "u1"), node("u2", "a1"), node("u3", "a1"), node("a3", "u3")]
    manager.store.put("claude:tree", nodes, {"active_leaf": "a3"})
    session = manager.get("claude:tree")
    assert texts(session) == ["u1", "a1", "u3", "a3"]
    assert texts(session.branch("u2")) == ["u1", "a1", "u2"]


def test_merging_takes_over_what_the_other_has_beyond(manager: SessionManager, session: Session) -> None:
    branch = session.branch(2)
    branch.add_user("side question")
    branch.add_assistant("side answer")
    manager.merge(session, branch)
    assert texts(session)[-3:] == ["answer 3", "side question", "side answer"]
    assert session.messages()[-1]["x"]["merged_from"]["key"] == branch.key
    manager.merge(session, branch)
    assert session.count == 11
    assert branch.count == 5
    with pytest.raises(errors.UsageError, match="itself"):
        manager.merge(session, session)


def test_merging_by_time_puts_both_in_one_row(manager: SessionManager) -> None:
    session = manager.create("a")
    session.append({"role": "user", "content": "start", "time": "2026-01-01T00:00:00Z"})
    other = session.branch(session_id="b")
    for minute, (who, text) in enumerate([(session, "1"), (other, "2"), (session, "3"), (other, "4")], 1):
        who.append({"role": "user", "content": text, "time": f"2026-01-01T00:0{minute}:00Z", "id": f"m{minute % 2}"})
    manager.merge("a", "b", order="time")
    assert texts(session) == ["start", "1", "2", "3", "4"]
    assert len({message["id"] for message in session.messages()}) == 5
    assert len(manager.store.heads("native:a")) == 1


def test_two_heads_are_joined_and_nothing_is_lost(manager: SessionManager, session: Session) -> None:
    from sessionstore.compose import Composer
    from sessionstore.store import carried

    old = session.revision
    session.add_user("here")
    composer = Composer(manager.store.objects, base=old)
    composer.add({"id": "far", "role": "user", "parts": [{"type": "text", "content": "there"}]})
    manager.store.write_revision(*manager.store.name_of(composer.finish(session.key, carried(old))))
    assert len(manager.store.heads(session.key)) == 2
    session.add_assistant("goes on")
    assert manager.recover()["branches"] == {session.key: 2}
    manager.merge(session)
    assert len(manager.store.heads(session.key)) == 1
    assert set(texts(session)[-3:]) == {"here", "goes on", "there"}
    assert session.count == 12
    assert verify(manager.store).ok


def test_comparing_says_what_is_shared_and_what_is_not(manager: SessionManager, session: Session) -> None:
    branch = session.branch(4)
    assert manager.compare(session, branch)["only"][1] == []
    new = branch.add_user("x")
    found = manager.compare(session, branch)
    assert (found["common"], found["only"][1], len(found["only"][0]), found["same"]) == (5, [new], 4, False)
    assert manager.compare(session, session)["same"]


# -- templates ---------------------------------------------------------------------------------------------------------


def test_a_template_gives_what_create_is_not_told(manager: SessionManager) -> None:
    examples = [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"}]
    manager.save_template("sums", examples, model="o3", system="Add up.", metadata={"a": 1, "b": 1})
    one = manager.create(template="sums", metadata={"b": 2})
    other = manager.create(template="sums", model="gpt-4o")
    assert texts(one) == ["Add up.", "1+1", "2"]
    assert (one.model, other.model, one.metadata) == ("o3", "gpt-4o", {"a": 1, "b": 2})
    assert {m["id"] for m in one.messages()}.isdisjoint(m["id"] for m in other.messages())
    assert [session["key"] for session in manager.list() if session["source"] == "template"] == []


def test_a_template_can_be_changed_and_keeps_its_versions(manager: SessionManager) -> None:
    manager.save_template("t", model="a")
    manager.save_template("t", model="b")
    assert manager.templates()["t"]["model"] == "b"
    assert len(manager.store.revisions_of("template:t")) == 2
    with pytest.raises(errors.NotFound):
        manager.create(template="nobody")
    with pytest.raises(errors.UsageError, match="no colour"):
        manager.save_template("t", colour="red")


# -- agents ------------------------------------------------------------------------------------------------------------


def test_each_agent_sees_itself_as_the_assistant(manager: SessionManager) -> None:
    session = manager.create()
    planner, coder = session.manager.share(session, "planner"), session.manager.share(session, "coder")
    session.add_user("Build it.")
    planner.append({"role": "assistant", "content": "First a plan."})
    coder.append({"role": "assistant", "content": "Then code."})
    seen = [(m["role"], " ".join(p["content"] for p in m["parts"])) for m in coder.messages()]
    assert seen == [("user", "Build it."), ("user", "[planner] First a plan."), ("assistant", "Then code.")]
    assert [m["role"] for m in planner.messages()] == ["user", "assistant", "user"]
    assert [m["role"] for m in session.messages()] == ["user", "assistant", "assistant"]


def test_what_is_meant_for_one_agent_is_not_seen_by_others(manager: SessionManager) -> None:
    session = manager.create()
    for name in ("a", "b", "c"):
        manager.share(session, name)
    manager.agent(session, "a").append({"role": "assistant", "content": "psst"}, visible_to=["b"])
    assert [len(manager.agent(session, name).messages()) for name in "abc"] == [1, 1, 0]


def test_an_agent_may_be_kept_from_writing_and_from_the_past(manager: SessionManager) -> None:
    session = manager.create(system="Be brief.")
    session.add_user("old")
    new = session.add_user("new")
    guest = manager.share(session, "guest", access="read", since=new)
    assert [m["parts"][0]["content"] for m in guest.messages()] == ["Be brief.", "new"]
    with pytest.raises(errors.UsageError, match="only read"):
        guest.append({"role": "assistant", "content": "x"})
    again = SessionManager(manager.store).agent(session.key, "guest")
    assert (again.access, again.since) == ("read", new)
    with pytest.raises(errors.NotFound):
        manager.agent(session, "nobody")


def test_other_agents_tools_are_seen_only_when_wanted(manager: SessionManager) -> None:
    session = manager.create()
    worker = manager.share(session, "worker")
    call = {"type": "tool_call", "id": "c1", "name": "ls", "arguments": {}}
    worker.append([{"role": "assistant", "parts": [call]}])
    worker.append([{"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a.txt"}]}])
    blind, seeing = manager.share(session, "blind"), manager.share(session, "seeing", tools=True)
    assert blind.messages() == []
    assert [m["role"] for m in seeing.messages()] == ["user", "user"]
    assert "a.txt" in str(seeing.messages()[1])
