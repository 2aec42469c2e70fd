"""Asks a running server what images show, or what is where in them: python client.py http://127.0.0.1:8080 image.jpg ...

Needs Python 3.8 or later and nothing else. Sends all images in one request and prints a line of JSON for each.
"""

import base64
import json
import sys
import urllib.error
import urllib.request


def score(url, images, **parameters):
    """Answers of the server to images, each the bytes of a file. Parameters such as score_threshold=0.5 hold for this request."""
    data = [base64.b64encode(image).decode("ascii") for image in images]
    body = json.dumps({"input_data": {"columns": ["image"], "data": data}, **parameters}).encode("utf-8")
    request = urllib.request.Request(f"{url}/score", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        # Every refusal is JSON with a text for people and a code for programs.
        refusal = json.load(error)
        raise SystemExit(f"{error.code} {refusal['code']}: {refusal['error']}") from None


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main():
    url, *paths = sys.argv[1:]
    for path, answer in zip(paths, score(url, [read(path) for path in paths])):
        print(json.dumps({**answer, "filename": path}))


if __name__ == "__main__":
    main()
