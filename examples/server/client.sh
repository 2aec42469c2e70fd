#!/bin/sh
# Asks a running server what one image shows, or what is where in it: client.sh http://127.0.0.1:8080 image.jpg
# Needs curl. Prints the server's JSON; the exit code is 0 only when the image was answered.
set -eu
exec curl --silent --show-error --fail-with-body --max-time 60 \
    --header 'Content-Type: application/octet-stream' --data-binary "@$2" "$1/score?filename=$(basename "$2")"
