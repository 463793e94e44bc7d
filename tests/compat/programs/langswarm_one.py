"""A program as LangSwarm's documents of version 1 write it; only its import has changed."""

from datetime import datetime, timedelta

from sessionstore.compat.langswarm_v1 import (
    InMemorySessionStorage,
    LangSwarmSession,
    LangSwarmSessionManager,
    MessageRole,
    SessionAdapterFactory,
    SessionControl,
    SessionStatus,
    SessionStrategyFactory,
    SQLiteSessionStorage,
)

for provider in ("openai", "claude", "gemini", "mistral", "cohere"):
    capabilities = SessionStrategyFactory.analyze_provider_capabilities(provider)
    adapter = SessionAdapterFactory.create_adapter(provider, "model")
    session = LangSwarmSession(user_id="test_user", provider=provider, model="model")
    parameters = adapter.create_session(session)
    print(provider, capabilities["recommended_strategy"], adapter.supports_native_sessions(), sorted(parameters))

storage = SQLiteSessionStorage("demo_sessions.db")
manager = LangSwarmSessionManager(storage=storage)
known = manager.list_sessions(user_id="persistent_user")
print("second run" if known else "first run")

session = manager.create_session(
    user_id="persistent_user", provider="openai", model="gpt-4o", session_control=SessionControl.HYBRID
)
manager.send_message(session.session_id, "What is LangSwarm?")
manager.send_message(session.session_id, "How does session management work?")
print("messages:", session.message_count)

new_manager = LangSwarmSessionManager(storage=SQLiteSessionStorage("demo_sessions.db"))
recovered = new_manager.get_session(session.session_id)
assert recovered is not None and len(recovered.history.messages) == 4
assert recovered.metadata.last_activity is not None
response = new_manager.send_message(session.session_id, "Continue our discussion.")
assert response.role == MessageRole.ASSISTANT and response.content
assert len(new_manager.list_sessions(user_id="persistent_user")) == len(known) + 1

tagged = manager.create_session("advanced_user", tags=["demo"], custom_metadata={"project": "session_demo"})
assert manager.archive_session(tagged.session_id)
archived = manager.get_session(tagged.session_id)
assert archived.metadata.status == SessionStatus.ARCHIVED
archived.reactivate()
manager.storage.save_session(archived)
for number in range(10):
    manager.send_message(tagged.session_id, f"Test message {number + 1}")
long = manager.get_session(tagged.session_id)
assert long.message_count == 20
long.history.truncate_to_limit(5)
assert len(long.history.messages) == 5 and long.history.truncated_at

in_memory = LangSwarmSessionManager(storage=InMemorySessionStorage())
try:
    in_memory.send_message("non_existent", "Hello")
except ValueError as error:
    print("refused:", error)
old = in_memory.create_session("cleanup_user", provider="openai", model="gpt-4o")
in_memory.storage.update_session_metadata(old.session_id, {"updated_at": datetime.now() - timedelta(days=31)})
assert in_memory.cleanup_expired_sessions(max_age_days=30) == 1
assert manager.delete_session(tagged.session_id) and manager.get_session(tagged.session_id) is None
print(manager.get_session_statistics()["provider_distribution"])
print("done")
