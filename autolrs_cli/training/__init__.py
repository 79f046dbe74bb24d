"""The one loop: kept steps, searched stages, snapshots, evaluation, and the ledger of what they cost."""
