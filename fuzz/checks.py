"""What schemathesis is told about this server: when 503 is an answer, and which ids exist (read by fuzz/property.mjs)."""

import json
import os
import zlib

import schemathesis

MODE = os.environ["FUZZ_MODE"]
KNOWN = json.loads(os.environ["FUZZ_KNOWN"])

# A machine under load may make a query wait too long now and then; more than that is an answer that is missing.
BUSY_AT_FIRST = 3
BUSY_SHARE = 0.01
busy = 0
answers = 0

UNFORESEEN = "could not be answered"
BUSY = {"OverloadedException", "OutcomeUnknownException", "ServiceUnavailableException", "SwitchingException"}


@schemathesis.check
def unavailable_as_documented(ctx, response, case):
    """No 5xx but 503 with Retry-After, and that only in the wrong mode or, seldom, when the server does not keep up."""
    global busy, answers
    if case.method.upper() != case.operation.method.upper():
        return
    answers += 1
    status = response.status_code
    needs = case.operation.definition.raw.get("x-requires-mode")
    wrong_mode = needs in ("production", "maintenance") and needs != MODE
    if wrong_mode and status < 400:
        raise AssertionError(f"answered {status} in {MODE}, the document says that it needs {needs}")
    if status < 500:
        return
    if status != 503:
        raise AssertionError(f"answered {status}")
    retry_after = response.headers.get("retry-after", [""])[0]
    if not retry_after.isdigit() or int(retry_after) < 1:
        raise AssertionError(f"503 with Retry-After '{retry_after}'")
    answer = response.json()
    exception = answer["exception"].rsplit(".", 1)[-1]
    if exception == "ModeException":
        if not wrong_mode and needs is not None:
            raise AssertionError(f"refused in {MODE}, the document says that it needs {needs}")
        return
    busy += 1
    if exception not in BUSY or UNFORESEEN in answer["message"]:
        raise AssertionError(f"503 without a reason that is known: {answer['message']}")
    if busy > BUSY_AT_FIRST + answers * BUSY_SHARE:
        raise AssertionError(f"{busy} of {answers} answers are 503: {answer['message']}")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what is no failure: data that schemathesis itself calls valid, and null where a schema says nothing."""
    if type(failure).__name__ != "AcceptedNegativeData":
        return True
    description = getattr(getattr(case.meta.phase, "data", None), "description", None) or ""
    if description.lower().startswith("positive test case"):
        return False
    says_nothing = any(body.definition.get("schema") == {} for body in case.operation.body)
    return not (case.body is None and says_nothing)


@schemathesis.hook
def map_case(context, case):
    """Three of four times the ids in path and body are those of one conversation that exists, and values are listed ones."""
    chance = zlib.crc32(repr((case.path_parameters, case.body)).encode("utf-8", "surrogatepass"))
    if is_negative(case) or chance % 4 == 0 or not KNOWN["conversations"]:
        return case
    conversation = KNOWN["conversations"][chance // 4 % len(KNOWN["conversations"])]
    for name in list(case.headers or {}):
        if name.lower() == "x-cs-position":
            case.headers[name] = KNOWN["position"]
    if isinstance(case.query, dict):
        case.query.pop("page", None)
    if isinstance(case.path_parameters, dict):
        case.path_parameters = {name: conversation.get(name, value) for name, value in case.path_parameters.items()}
    case.body = with_known(case.body, {**conversation, **(case.path_parameters or {})}, chance)
    return case


def is_negative(case):
    return case.meta is not None and case.meta.generation.mode.is_negative


def with_known(body, ids, chance):
    if not isinstance(body, dict):
        return [with_known(item, ids, chance) for item in body] if isinstance(body, list) else body
    return {name: known_value(name, value, ids, chance) for name, value in body.items()}


def known_value(name, value, ids, chance):
    if name in ("service_id", "state_id", "task_id", "customer_id", "previous_state_id"):
        return ids.get(name, value)
    if name == "expiration_time":
        return KNOWN["later"]
    if name in KNOWN["values"]:
        return KNOWN["values"][name][chance % len(KNOWN["values"][name])]
    if name in ("from", "to", "service", "state", "task", "services"):
        return with_known(value, ids, chance)
    return value
