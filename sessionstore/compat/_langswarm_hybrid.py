"""Version 1: sessions that can be searched (`hybrid_manager` and `adapters_bridge` of `langswarm.core.session`).

LangSwarm wrote each message a second time into a search engine. Here the store's own index has every message already:
whatever backend a program names, it is asked. A document store of the program's own still gets its documents.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sessionstore.compat._langswarm_manager import LangSwarmSessionManager
from sessionstore.compat._langswarm_models import ConversationMessage, LangSwarmSession, MessageRole, SessionControl
from sessionstore.compat._langswarm_records import ONE
from sessionstore.compat._langswarm_shelf import DEFAULT, SOURCE, Shelf, shelf_of
from sessionstore.compat._langswarm_storage import SessionStorage, SessionStorageFactory, SQLiteSessionStorage

Document = dict[str, Any]
BACKENDS = ("chromadb", "sqlite", "redis", "qdrant", "elasticsearch", "bigquery", "gcs")
_MOST = 200
"""So many hits are looked at before filters are applied."""
_log = logging.getLogger("sessionstore.compat.langswarm")


def _passes(metadata: Document, filters: Document | None) -> bool:
    """Whether a document passes LangSwarm's filters: {"conditions": [{"field", "operator", "value"}]}."""
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "==": lambda one, other: bool(one == other),
        "!=": lambda one, other: bool(one != other),
        ">=": lambda one, other: bool(one >= other),
        "<=": lambda one, other: bool(one <= other),
    }
    for condition in (filters or {}).get("conditions", ()):
        test, name = tests.get(condition.get("operator")), condition.get("field")
        if test is not None and metadata.get(name) is not None and not test(metadata[name], condition.get("value")):
            return False
    return True


class StoreSearch:
    """The store's index as one of LangSwarm's document stores: every message is a document."""

    def __init__(self, db_path: str = DEFAULT, **_: Any) -> None:
        self._shelf: Shelf = shelf_of(db_path)

    def add_documents(self, documents: list[Document]) -> list[str]:
        """Their ids; the index has what is in the sessions already."""
        return [str(document.get("key") or document.get("id") or "") for document in documents]

    def query(self, query: str, filters: Document | None = None, k: int = 10) -> list[Document]:
        """The best documents: {"text", "metadata", "score"}; `score` is higher for better ones, at most 1."""
        words = re.findall(r"\w+", query)
        found: list[Document] = []
        for text in (" ".join(f'"{word}"' for word in words), " OR ".join(f'"{word}"' for word in words)):
            if not found and words:
                found = [one for one in self._hits(text) if _passes(one["metadata"], filters)]
        return [{**one, "score": 1.0 / (1 + rank)} for rank, one in enumerate(found[:k])]

    def _hits(self, text: str) -> list[Document]:
        manager = self._shelf.manager
        kept = {one.key: one for one in self._shelf.all()}
        paths: dict[str, dict[str, Any]] = {}
        found = []
        for hit in manager.search(text, _MOST, source=SOURCE):
            key = hit["key"]
            if key not in kept or hit["message"] is None:
                continue
            if key not in paths:
                paths[key] = {message["id"]: message for message in manager.get(key).messages()}
            message = paths[key].get(hit["message"])
            if message is None:
                continue
            record, facts = ONE.record(message, kept[key].began), kept[key].facts
            told = {"type": "message", "session_id": kept[key].revision["native_id"], "message_id": record["id"]}
            told |= {name: record[name] for name in ("role", "timestamp")}
            told |= {name: facts.get(name) for name in ("user_id", "provider", "model")}
            found.append({"text": record["content"], "metadata": told})
        return found


class SessionDatabaseBridge:
    """A document store of LangSwarm's memory as the session manager asks it."""

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter

    def add_documents(self, documents: list[Document]) -> list[str]:
        """Hand over documents ({"key", "text", "metadata"}); their ids."""
        told = [
            {"id": one.get("key", ""), "text": one.get("text", ""), "metadata": one.get("metadata", {})}
            for one in documents
        ]
        ids: list[str] = self.adapter.add_documents(told)
        return ids

    def query(self, query: str, filters: Document | None = None, k: int = 10) -> list[Document]:
        """The best documents: {"text", "metadata", "score"}."""
        given = filters if isinstance(self.adapter, StoreSearch) else self._convert_filters(filters or {}) or None
        found = self.adapter.query(query=query, filters=given, k=k)
        return [
            {"text": one.get("text", ""), "metadata": one.get("metadata", {}), "score": one.get("score", 0.0)}
            for one in found
        ]

    def _convert_filters(self, filters: Document) -> Document:
        endings = {"==": "", "!=": "_not", ">=": "_gte", "<=": "_lte"}
        conditions = filters.get("conditions", ())
        return {
            f"{one['field']}{endings[one['operator']]}": one["value"]
            for one in conditions
            if one["operator"] in endings
        }


class HybridAdapterFactory:
    """Makes document stores by name; all of them are the store's own index."""

    @classmethod
    def create_adapter(cls, adapter_type: str, **config: Any) -> SessionDatabaseBridge | None:
        """The document store of that name; None for an unknown one."""
        if adapter_type.lower() not in BACKENDS:
            _log.error("Unknown adapter type: %s", adapter_type)
            return None
        return SessionDatabaseBridge(StoreSearch(config.get("db_path", DEFAULT)))

    @classmethod
    def create_chromadb_adapter(cls, **config: Any) -> SessionDatabaseBridge | None:
        """The store's index."""
        return cls.create_adapter("chromadb", **config)

    @classmethod
    def create_sqlite_adapter(cls, **config: Any) -> SessionDatabaseBridge | None:
        """The store's index."""
        return cls.create_adapter("sqlite", **config)

    @classmethod
    def create_redis_adapter(cls, **config: Any) -> SessionDatabaseBridge | None:
        """The store's index."""
        return cls.create_adapter("redis", **config)

    @classmethod
    def create_qdrant_adapter(cls, **config: Any) -> SessionDatabaseBridge | None:
        """The store's index."""
        return cls.create_adapter("qdrant", **config)

    @classmethod
    def create_elasticsearch_adapter(cls, **config: Any) -> SessionDatabaseBridge | None:
        """The store's index."""
        return cls.create_adapter("elasticsearch", **config)

    @classmethod
    def create_bigquery_adapter(cls, **config: Any) -> SessionDatabaseBridge | None:
        """The store's index."""
        return cls.create_adapter("bigquery", **config)

    @classmethod
    def create_gcs_adapter(cls, **config: Any) -> SessionDatabaseBridge | None:
        """The store's index."""
        return cls.create_adapter("gcs", **config)


class MockSessionAdapter:
    """A document store in memory that finds a text in a text. An empty query finds everything."""

    def __init__(self, **kwargs: Any) -> None:
        self.documents: list[Document] = []

    def add_documents(self, documents: list[Document]) -> list[str]:
        """Keep documents; their ids."""
        ids = []
        for document in documents:
            ids.append(document.get("key", f"doc_{len(self.documents)}"))
            text, metadata = document.get("text", ""), document.get("metadata", {})
            self.documents.append({"id": ids[-1], "text": text, "metadata": metadata, "score": 1.0})
        return ids

    def query(self, query: str, filters: Document | None = None, k: int = 10) -> list[Document]:
        """The first `k` documents that hold the query's text and pass the filters."""
        found = [
            {"text": one["text"], "metadata": one["metadata"], "score": 0.9}
            for one in self.documents
            if query.lower() in one["text"].lower() and _passes(one["metadata"], filters)
        ]
        return found[:k]


class HybridSessionManager(LangSwarmSessionManager):
    """A session manager that also searches. Without an `enhanced_adapter` the storage's own store is searched."""

    def __init__(
        self,
        storage: SessionStorage | None = None,
        enhanced_adapter: Any = None,
        enable_semantic_search: bool = True,
        enable_analytics: bool = True,
        default_session_control: SessionControl = SessionControl.HYBRID,
        **kwargs: Any,
    ) -> None:
        super().__init__(storage, default_session_control)
        if enhanced_adapter is None and isinstance(self.storage, SQLiteSessionStorage):
            enhanced_adapter = SessionDatabaseBridge(StoreSearch())
            enhanced_adapter.adapter._shelf = self.storage._shelf
        self.enhanced_adapter = enhanced_adapter
        self.enable_semantic_search, self.enable_analytics = enable_semantic_search, enable_analytics
        self.enhanced_available = enhanced_adapter is not None

    def create_session(self, *args: Any, **kwargs: Any) -> LangSwarmSession:
        """As the plain manager; the document store is told."""
        session = super().create_session(*args, **kwargs)
        began = {"created_at": session.metadata.created_at.isoformat()}
        self._tell(session, f"session:{session.session_id}", "session", began)
        return session

    def add_message_to_session(
        self, session_id: str, content: str, role: MessageRole, **kwargs: Any
    ) -> ConversationMessage | None:
        """As the plain manager; the document store is told."""
        message = super().add_message_to_session(session_id, content, role, **kwargs)
        session = self.get_session(session_id)
        if message is not None and session is not None and self.enable_semantic_search:
            plain = message.to_dict()
            more = {"message_id": message.id, "role": plain["role"], "timestamp": plain["timestamp"]}
            self._tell(session, f"message:{message.id}", "message", more, content)
        return message

    def _tell(self, session: LangSwarmSession, key: str, kind: str, more: Document, text: str | None = None) -> None:
        """Hand a document over. A document store that fails loses nothing: the session is kept."""
        if not self.enhanced_available:
            return
        names = ("session_id", "user_id", "provider", "model")
        metadata = {"type": kind, **{name: getattr(session, name) for name in names}, **more}
        told = text if text is not None else f"Session {session.session_id} for user {session.user_id}"
        try:
            self.enhanced_adapter.add_documents([{"key": key, "text": told, "metadata": metadata}])
        except Exception as error:
            _log.warning("the document store has not taken %s: %s", key, error)

    def search_conversation_history(
        self, query: str, user_id: str | None = None, session_id: str | None = None, limit: int = 10
    ) -> list[dict[str, Any]]:
        """The best messages: content, session_id, role, timestamp, user_id, provider, model, relevance_score."""
        if not self.enhanced_available or not self.enable_semantic_search:
            return []
        wanted = {"type": "message", "user_id": user_id, "session_id": session_id}
        conditions = [{"field": name, "operator": "==", "value": value} for name, value in wanted.items() if value]
        names = ("session_id", "role", "timestamp", "user_id", "provider", "model")
        return [
            {
                "content": one.get("text", ""),
                **{name: one.get("metadata", {}).get(name) for name in names},
                "relevance_score": one.get("score"),
            }
            for one in self.enhanced_adapter.query(query=query, filters={"conditions": conditions}, k=limit)
        ]

    def get_conversation_analytics(self, user_id: str | None = None, time_range_days: int = 30) -> dict[str, Any]:
        """Figures of the messages of the last days: totals, by provider and role, frequent words."""
        if not self.enhanced_available or not self.enable_analytics:
            return {}
        cutoff = datetime.now() - timedelta(days=time_range_days)
        providers, roles, words, sessions = Counter[str](), Counter[str](), Counter[str](), set[str]()
        for listed in self.storage.list_sessions(user_id=user_id, limit=1_000_000):
            session = self.storage.load_session(listed.session_id)
            for message in session.history.get_messages_since(cutoff) if session else ():
                sessions.add(listed.session_id)
                providers[listed.provider] += 1
                roles[message.role.value] += 1
                words.update(word for word in str(message.content).lower().split() if len(word) > 4)
        total = roles.total()
        return {
            "time_range_days": time_range_days,
            "total_messages": total,
            "unique_sessions": len(sessions),
            "provider_distribution": dict(providers),
            "role_distribution": dict(roles),
            "top_topics": dict(words.most_common(10)),
            "average_messages_per_session": total / len(sessions) if sessions else 0,
            "enhanced_features_enabled": True,
        }

    def find_similar_conversations(self, session_id: str, limit: int = 5) -> list[dict[str, Any]]:
        """Other sessions that speak of the same: session_id, score, sample_content, user_id, provider."""
        session = self.get_session(session_id) if self.enhanced_available else None
        if session is None:
            return []
        told = " ".join(str(message.content) for message in session.get_messages(limit=3))
        other = {"field": "session_id", "operator": "!=", "value": session_id}
        found: dict[str, dict[str, Any]] = {}
        for one in self.enhanced_adapter.query(query=told, filters={"conditions": [other]}, k=limit * 3):
            metadata, score = one.get("metadata", {}), one.get("score", 0)
            name = metadata.get("session_id")
            if name and (name not in found or score > found[name]["score"]):
                more = {key: metadata.get(key) for key in ("user_id", "provider")}
                found[name] = {"session_id": name, "score": score, "sample_content": one.get("text", "")[:100], **more}
        return sorted(found.values(), key=lambda one: one["score"], reverse=True)[:limit]


class HybridSessionManagerFactory:
    """Makes hybrid managers by the names of backends."""

    @classmethod
    def create_hybrid_manager(
        cls, enhanced_backend: str = "chromadb", basic_storage_type: str = "sqlite", **kwargs: Any
    ) -> HybridSessionManager:
        """A manager with a storage (`memory`, `sqlite` with `db_path`) that searches the store (`mock`: a document
        store in memory; an unknown backend: not at all). Raises `ValueError` for an unknown storage."""
        storage = SessionStorageFactory.create_storage(basic_storage_type, **kwargs)
        adapter: Any = None
        if enhanced_backend == "mock" or (enhanced_backend in BACKENDS and basic_storage_type == "memory"):
            adapter = MockSessionAdapter()
        names = ("enable_semantic_search", "enable_analytics", "default_session_control")
        made = HybridSessionManager(storage, adapter, **{name: kwargs[name] for name in names if name in kwargs})
        if enhanced_backend != "mock" and enhanced_backend not in BACKENDS:
            _log.warning("Unknown enhanced backend: %s", enhanced_backend)
            made.enhanced_adapter, made.enhanced_available = None, False
        return made
