"""Commands: `catalog` declares them once, `registry` says what a declaration is, `dispatch` runs one."""
