"""The paper's claims, beside ours."""
