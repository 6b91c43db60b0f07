"""Bytes from wherever they lie: disks, archives, other machines; packed or plain, always read from their beginning."""
