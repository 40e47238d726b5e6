"""Ways to git, pip, registries and Debian's packages."""
