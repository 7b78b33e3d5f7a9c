"""Several hosts on one machine, made of namespaces, to build real clusters on. `ganeti.lab.lab.Lab` is the way in."""
