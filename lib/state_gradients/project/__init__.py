"""Results as files: what made them, whether they are whole, whether they are fresh.

Read `kinds` (the stages and what they make), `provenance` (how a file is described,
written and read), `freshness` (what an artifact depends on), then `artifacts` (`load`,
`save` and `status`), `locks` (one run of an experiment at a time) and `release` (what
must agree before a version is handed out).
"""
