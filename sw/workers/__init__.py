"""Devices that compute layers; each keeps the Protocol of `heterolith.sw.worker`."""
