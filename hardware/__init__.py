"""Floor 2: ports, the wire, devices, the rig, and the virtual room that stands in for a real one."""
