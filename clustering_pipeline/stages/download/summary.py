"""What a person wants to know of a run: counts, causes, the worst hosts, the traffic."""

from urllib.parse import urlsplit

import pandas as pd

from clustering_pipeline.stages.download.fetcher import Traffic
from clustering_pipeline.storage import cache_facts

WORST_HOSTS = 10
Facts = dict[str, int | float | str]


def summarise(manifest: pd.DataFrame, distinct: int, traffic: Traffic, seconds: float) -> Facts:
    """Return the facts of a run; `manifest`: RAW_IMAGES, `distinct`: how many different URLs it
    has.
    """
    failed = manifest["image_sha256"].isna()
    asked = traffic.pictures
    facts: Facts = {
        "pictures": len(manifest),
        "distinct_urls": distinct,
        "distinct_images": int(manifest["image_sha256"].nunique()),
        "asked": asked,
        **cache_facts(distinct, distinct - asked),
        "requests": traffic.requests,
        "megabytes_received": round(traffic.bytes / 1e6, 3),
        "seconds": round(seconds, 3),
        "pictures_per_second": round(asked / seconds, 1) if seconds else 0.0,
        "hosts_set_aside": traffic.hosts_set_aside,
        "failed": int(failed.sum()),
        "failed_share": round(float(failed.mean()), 6) if len(manifest) else 0.0,
        "kept_after_failed_refresh": int((manifest["error_kind"].notna() & ~failed).sum()),
        "main_cause": main_cause(manifest),
        "worst_hosts": worst_hosts(manifest),
    }
    kinds = manifest.loc[failed, "error_kind"].value_counts()
    return facts | {f"failed_{kind}": int(number) for kind, number in sorted(kinds.items())}


def main_cause(manifest: pd.DataFrame) -> str:
    """Return the commonest failure of RAW_IMAGES in words, such as "3 of 4: not_found, mostly on
    shop.vn"; empty without failures.
    """
    failed = _failures(manifest)
    if failed.empty:
        return ""
    kinds = failed["error_kind"].value_counts()
    kind = min(kinds.index, key=lambda name: (-kinds[name], name))
    hosts = failed.loc[failed["error_kind"] == kind, "host"].value_counts()
    host = min(hosts.index, key=lambda name: (-hosts[name], name))
    return f"{kinds[kind]} of {len(failed)}: {kind}, mostly on {host}"


def worst_hosts(manifest: pd.DataFrame) -> str:
    """Return a Markdown table of the hosts with the most failures in RAW_IMAGES; empty without
    failures.
    """
    failed = _failures(manifest)
    if failed.empty:
        return ""
    totals = _hosts(manifest["url"]).value_counts()
    groups = failed.groupby("host")["error_kind"]
    counts = (
        groups.size()
        .reset_index(name="failed")
        .sort_values(["failed", "host"], ascending=[False, True])
    )
    lines = ["| host | failed | pictures | kinds |", "|---|---:|---:|---|"]
    for host, number in counts.head(WORST_HOSTS).itertuples(index=False):
        kinds = groups.get_group(host).value_counts().sort_index()
        named = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        lines.append(f"| {host} | {number} | {totals[host]} | {named} |")
    return "\n".join(lines)


def _failures(manifest: pd.DataFrame) -> pd.DataFrame:
    failed = manifest[manifest["image_sha256"].isna()]
    return failed.assign(host=_hosts(failed["url"]))


def _hosts(urls: pd.Series) -> pd.Series:
    return urls.map(_host).astype(object)


def _host(url: str) -> str:
    """Return a URL's host and port for a table: no credentials, nothing that breaks the table."""
    try:
        authority = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        authority = ""
    return authority.replace("|", "").replace("`", "")[:100] or "(no host)"
