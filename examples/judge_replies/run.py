"""Judge the replies beside this file, and measure the judge: `python run.py [RESULTS.csv]`."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from conversation import conversation, finished  # noqa: E402  # beside the examples, wherever they are run from

SCHEMA = {
    "type": "object",
    "properties": {"tone": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["tone"],
}


async def judge(workspace: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the job on `replies.csv` in *workspace*, and compare its answers with the person's column."""
    async with conversation(workspace) as call:
        job = await finished(
            call,
            source="replies.csv",
            system="Classify the tone of the reply as positive or negative.",
            prompt="Reply: {{reply}}",
            output_schema=SCHEMA,
            parameters={"temperature": 0, "max_completion_tokens": 32},
            id_column="reply_id",
        )
        profile = await call("query_results", job_id=job["job_id"], truth="verdict")
        await call("get_results", job_id=job["job_id"], save_as="results.csv")
        return job, profile


def main() -> None:
    """Run the job, and say how often the judge agrees with a person."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        shutil.copyfile(HERE / "replies.csv", workspace / "replies.csv")
        job, profile = anyio.run(judge, workspace)
        if len(sys.argv) > 1:
            shutil.copyfile(workspace / "results.csv", sys.argv[1])
    print(f"{job['counts']} by {job['answered_by']}")
    agreement = profile["agreement"]
    print(f"{agreement['agree']} of {agreement['compared']} verdicts agree with the person's.")
    for mistake in agreement.get("disagree", []):
        print(f"  {mistake['truth']} taken for {mistake['answered']}: {mistake['rows']}")
    assert agreement["compared"] == 20
    assert agreement["accuracy"] >= 0.7


if __name__ == "__main__":
    main()
