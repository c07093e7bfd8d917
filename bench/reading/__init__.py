"""Reading what strangers wrote: strictly, within bounds, and refused with the reason."""
