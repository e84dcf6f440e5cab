"""Read by schemathesis (SCHEMATHESIS_HOOKS): how it sends a body of a type that it does not know."""
import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
