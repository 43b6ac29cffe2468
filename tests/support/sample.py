"""The small CSV file of the fixture `sample`, and a job over it."""

SAMPLE = "id,text\n" + "".join(f"{number},row {number}\n" for number in range(1, 6))
DRAFT = {"source": "sample.csv", "prompt": "say {{text}}", "model": "m"}
"""The arguments of `create_batch_file`."""
