"""One module per page; each has a `routes` list that `web.console.router` mounts."""
