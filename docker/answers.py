#!/opt/lrsweep/bin/python -IS
"""The health check of a container: leaves with 0 where the address answers with a status below 400.

The interpreter starts without its site packages, in a tenth of the time.
"""

import http.client
import sys
from urllib.parse import urlsplit


def answers(address: str) -> bool:
    found = urlsplit(address)
    connection = http.client.HTTPConnection(found.hostname or "", found.port, timeout=4)
    try:
        connection.request("GET", found.path or "/")
        return connection.getresponse().status < http.HTTPStatus.BAD_REQUEST
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1]))
