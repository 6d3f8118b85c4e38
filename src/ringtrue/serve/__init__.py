"""HTTP and WebSocket requests -> verdicts, and the page that asks for them; nothing is kept, nothing leaves.

Follow a recording: `guard` lets the request in, `app` names what can be asked, `crew` hands the recording to a
process of its own, `worker` is that process. `jobs` and `live` are the same for long recordings and for live ones.
"""
