"""The console: server-rendered pages whose whole state is their address."""
