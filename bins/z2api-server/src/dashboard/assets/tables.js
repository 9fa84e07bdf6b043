// The tables: upstream tokens, models, the last requests.
import { brief, canSay, clock, duration, element, number, say } from "./say.js";
import { median } from "./history.js";

const body = (id) => document.querySelector(`#${id} tbody`);

function row(...cells) {
  const made = element("tr");
  for (const cell of cells)
    made.append(cell instanceof HTMLTableCellElement ? cell : element("td", "", cell));
  return made;
}

/** Puts rows into a table. Each cell knows what it is: a narrow window has no heads of columns. */
function fill(table, rows) {
  const heads = [...document.querySelectorAll(`#${table} thead th`)].map((head) => head.textContent);
  for (const { cells } of rows)
    for (const [at, cell] of [...cells].entries()) {
      if (cell.colSpan > 1) continue;
      cell.dataset.is = heads[at];
      cell.classList.toggle("nothing", cell.textContent === "–");
    }
  renew(body(table), rows);
}

/** Puts rows in place of those that differ. The others are not touched: somebody may be marking them. */
function renew(body, rows) {
  const before = new Map([...body.rows].map((row) => [row.textContent, row]));
  const wanted = rows.map((row) => {
    const same = before.get(row.textContent);
    return same?.isEqualNode(row) ? same : row;
  });
  const kept = new Set(wanted);
  for (const row of [...body.rows]) if (!kept.has(row)) row.remove();
  let next = body.firstElementChild;
  for (const row of wanted) {
    if (row === next) next = next.nextElementSibling;
    else body.insertBefore(row, next);
  }
}

const right = (text) => element("td", "number", text);
const pill = (kind, text) => element("span", `pill ${kind}`, text);

/** A row that says that there is none. */
function none(table, text) {
  const cell = element("td", "none", text);
  cell.colSpan = document.querySelectorAll(`#${table} thead th`).length;
  return row(cell);
}

const TOKEN_KINDS = { ok: "good", cooling: "warn", parked: "warn", dead: "bad" };

export function showTokens(tokens) {
  const rows = tokens.map((token) => {
    const name = token.guest ? say("tokens.guest") : `#${token.position + 1}`;
    const time = duration((token.seconds_left ?? 0) * 1000);
    const state = canSay(`tokens.${token.state}`) ? say(`tokens.${token.state}`, { time }) : token.state;
    const limits = (token.learned_limits ?? []).map(
      (limit) => element("span", "tag", `${limit.model} ${limit.in_flight}/${limit.allowed}`),
    );
    return row(
      name,
      pill(TOKEN_KINDS[token.state] ?? "warn", state),
      right(number(token.in_flight)),
      element("td", "can", ...(limits.length ? limits : ["–"])),
      token.reason ?? "–",
    );
  });
  fill("tokens", rows.length ? rows : [none("tokens", say("tokens.none"))]);
}

/** The models without their variants, which are abilities of theirs. */
function families(models) {
  const names = new Set(models.map((model) => model.name));
  const baseOf = (name) => {
    const base = name.replace(/-(Thinking|Search)$/, "");
    return names.has(base) ? base : name;
  };
  const found = new Map();
  for (const model of models) {
    const base = baseOf(model.name);
    const family = found.get(base) ?? { ...model, name: base, can: new Set(), names: new Set() };
    found.set(base, family);
    family.names.add(model.name);
    if (model.name !== base && model.thinking) family.can.add("thinking");
    if (model.name === base && model.thinking) family.can.add("always");
    if (model.search) family.can.add("search");
    if (model.vision) family.can.add("vision");
  }
  return [...found.values()];
}

function stateOf(family, requests) {
  if (family.limit !== undefined && family.in_flight >= family.limit) return ["warn", "busy"];
  const last = requests.find((request) => request.owner === "none" || request.owner === "upstream");
  // Refused before the upstream was asked: that says nothing of the model.
  if (!last) return ["", requests.length ? "refused" : "idle"];
  return last.owner === "upstream" ? ["bad", "failing"] : ["good", "ok"];
}

export function showModels(models, requests) {
  const rows = families(models).map((family) => {
    const asked = requests.filter((request) => family.names.has(request.model));
    const failed = asked.filter((request) => request.owner !== "none" && request.status !== 499).length;
    const [kind, state] = stateOf(family, asked);
    const firsts = asked.map((request) => request.time_to_first_token_ms).filter((first) => first != null);
    const can = element(
      "td",
      "can",
      ...[...family.can].map((word) => element("span", "tag", say(`models.${word}`))),
    );
    const limit =
      family.limit === undefined
        ? ""
        : ` ${say("models.limit", { n: family.in_flight, limit: family.limit })}`;
    const recent = failed ? say("models.recent.failed", { n: asked.length, failed }) : number(asked.length);
    const name = element("th", "", family.name);
    name.scope = "row";
    return [
      asked.length,
      row(
        name,
        can,
        element("td", "", pill(kind, say(`models.${state}`)), limit),
        right(asked.length ? recent : "–"),
        right(firsts.length ? duration(median(firsts)) : "–"),
      ),
    ];
  });
  // Those in use come first; the rest as the table of models has them.
  rows.sort(([a], [b]) => b - a);
  fill(
    "models",
    rows.map(([, made]) => made),
  );
}

function status(request) {
  const bad = request.owner !== "none" && request.status !== 499;
  const kind = request.status === 499 ? "warn" : bad ? "bad" : "good";
  const cell = element("td", "", pill(kind, String(request.status)));
  const why = [];
  if (bad) why.push(say(`requests.${request.owner}`));
  if (request.failure) why.push(request.failure);
  if (request.retry_count) why.push(say("requests.retries", { n: request.retry_count }));
  if (why.length) cell.append(" ", element("small", "", why.join(" · ")));
  return cell;
}

function requestRow(request) {
  const model = element("td", "", request.model ?? "–");
  if (request.think_mode) model.append(" ", element("span", "tag", request.think_mode));
  const time = (ms) => right(ms == null ? "–" : duration(ms));
  const tokens =
    request.completion_tokens == null
      ? "–"
      : `${number(request.prompt_tokens)} → ${number(request.completion_tokens)}`;
  const speed = request.tokens_per_second == null ? "–" : brief(request.tokens_per_second);
  const ended = element("time", "", clock(Date.parse(request.timestamp)));
  ended.dateTime = ended.title = request.timestamp;
  const key = element("td", "key", request.key_name ?? request.api_key);
  key.title = key.textContent;
  return row(
    ended,
    model,
    status(request),
    time(request.response_time_ms),
    time(request.time_to_first_token_ms),
    right(tokens),
    right(speed),
    key,
    element("td", "id", request.request_id),
  );
}

export function showRequests(requests, failedOnly) {
  const shown = failedOnly ? requests.filter((request) => request.owner !== "none") : requests;
  const nothing = failedOnly && requests.length ? "requests.none.failed" : "requests.none";
  fill("last", shown.length ? shown.map(requestRow) : [none("last", say(nothing))]);
}
