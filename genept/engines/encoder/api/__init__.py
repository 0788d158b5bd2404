"""Text vectors from an embeddings API: OpenAI's, or any server that speaks its protocol (`encode`).

Every vector is kept as it arrives (`cache`), so that none is paid for twice. The cost is estimated before the first
call and bounded (`budget`); a busy server is waited for (`pace`). The ``openai`` package is needed only for texts that
are not kept yet.
"""
