"""What a scheduled report says: data in, document out. Declared is only what has its data: readiness.

Budget pacing and daily spend come with the ledger; until then they are not offered anywhere.
"""
