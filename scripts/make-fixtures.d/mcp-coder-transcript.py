"""Writes transcripts as mcp_coder's workflow does, one of them with the line ends of Windows."""

from __future__ import annotations

from pathlib import Path


def markdown(title: str, prompt: str, answer: str, time: str, errors: str = "") -> str:
    """A transcript of the workflow."""
    mypy = bool(errors)
    return (
        f"# {title}\n\n"
        + (f"## Mypy Errors:\n{errors}\n\n" if mypy else "")
        + f"## Prompt Sent to LLM:\n{prompt}\n\n## LLM {'Fix ' if mypy else ''}Response:\n{answer}\n\n---\n"
        + f"{'Mypy fix generated' if mypy else 'Generated'} on: {time}\n"
    )


def make(target: Path) -> None:
    """Write all fixtures below `target`, the directory of this format."""
    prompt, answer = "Implement it.\n\nStep by step.", "Done.\n\n---\nAll of it."
    task = markdown("Implementation Task: Add a till", prompt, answer, "2025-10-29T08:37:58.090542")
    errors = '{"file": "a.py"}\n'
    fix = markdown("Mypy Fix Attempt 2", "Fix the errors.", "Fixed ✅", "2026-01-04T01:53:18.110404", errors)
    directory = target / "pr_info" / ".conversations"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "step_1.md").write_bytes(task.encode())
    (directory / "step_0_mypy_2.md").write_bytes(fix.replace("\n", "\r\n").encode())


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "fixtures" / "formats" / Path(__file__).stem)
