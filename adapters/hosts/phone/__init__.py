"""The phone server: webhooks, signatures, who may come in, the calls that it holds, and what it tells operators."""
