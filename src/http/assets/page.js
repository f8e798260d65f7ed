// The page: asks /api/... every two seconds while it is looked at, and shows the answers. Whatever comes from the data is
// put in as text, never as markup.

const EVERY_MS = 2000;
const KEPT = 150;
const FEWEST = 30;
const SVG = 'http://www.w3.org/2000/svg';
const $ = (id) => document.getElementById(id);

// ---- elements -------------------------------------------------------------------------------------------------------

// An element with attributes and children; strings become text.
function el(tag, attributes = {}, ...children) {
  const isShape = ['svg', 'path', 'rect', 'line', 'title'].includes(tag);
  const node = isShape ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'onclick') node.addEventListener('click', value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// Fills a table: `columns` are pairs of a heading and 'right' for numbers; `rows` hold cells, or a row's attributes first.
function table(node, columns, rows, none) {
  if (rows.length === 0) {
    if (!none) return node.replaceChildren();
    node.replaceChildren(el('tbody', {}, el('tr', {}, el('td', { class: 'empty' }, none))));
    return;
  }
  const cell = (content, index) => el('td', { class: columns[index][1] }, content);
  node.replaceChildren(
    el('thead', {}, el('tr', {}, columns.map(([name, side]) => el('th', { scope: 'col', class: side }, name)))),
    el('tbody', {}, rows.map((row) => el('tr', {}, row.map(cell)))),
  );
}

function problem(id, error) {
  $(id).hidden = !error;
  $(id).textContent = error ? String(error.message ?? error) : '';
}

// ---- bytes ----------------------------------------------------------------------------------------------------------

// What would not be seen, or would change how its neighbours are seen.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb]/gu;

const isBytes = (text) => typeof text === 'object' && text !== null;
const bytesOf = (text) => Uint8Array.from(atob(text.base64), (letter) => letter.charCodeAt(0));

function escaped(letter) {
  const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[letter];
  const code = letter.codePointAt(0);
  return short ?? (code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`);
}

// The bytes of a key, field or value, with what is no visible text as escapes that look different.
function show(text, cut = '') {
  const parts = [];
  const escape = (shown) => parts.push(el('span', { class: 'escape' }, shown));
  if (isBytes(text)) {
    let plain = '';
    for (const byte of bytesOf(text)) {
      if (byte >= 0x20 && byte < 0x7f) { plain += String.fromCharCode(byte); continue; }
      if (plain) parts.push(plain);
      plain = '';
      escape(escaped(String.fromCharCode(byte)));
    }
    if (plain) parts.push(plain);
  } else {
    let from = 0;
    for (const match of text.matchAll(HIDDEN)) {
      if (match.index > from) parts.push(text.slice(from, match.index));
      escape(escaped(match[0]));
      from = match.index + match[0].length;
    }
    if (from < text.length) parts.push(text.slice(from));
  }
  if (parts.length === 0) parts.push(el('span', { class: 'cut' }, 'empty'));
  return el('span', { class: 'text' }, parts, cut ? el('span', { class: 'cut' }, ` ${cut}`) : null);
}

// The same bytes in a URL.
function encoded(text) {
  if (!isBytes(text)) return encodeURIComponent(text);
  return Array.from(bytesOf(text), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

// Bytes that were encoded in the fragment of the address, in the shape in which the API gives them.
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    const letters = part.replace(/%([0-9a-f]{2})/gi, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
    return { base64: btoa(letters) };
  }
}

// ---- numbers --------------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat('en');
const number = (value) => whole.format(Math.round(value));

function scaled(value, step, units) {
  let index = 0;
  while (Math.abs(value) >= step && index < units.length - 1) { value /= step; index += 1; }
  const digits = index === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return [value.toFixed(digits), units[index]];
}
const size = (bytes) => scaled(bytes, 1024, ['B', 'KB', 'MB', 'GB', 'TB']);
const bytes = (value) => (value === undefined || value === null ? '–' : size(value).join(' '));
const short = (value) => scaled(value, 1000, ['', 'K', 'M', 'G']).join('');

function duration(ms) {
  if (ms < 0) return 'due';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${number(days)} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

const microseconds = (usec) => {
  if (usec === undefined || usec === null) return '–';
  if (usec < 1000) return `${usec < 10 ? usec.toFixed(1) : Math.round(usec)} µs`;
  return usec < 1e6 ? `${(usec / 1000).toFixed(1)} ms` : `${(usec / 1e6).toFixed(2)} s`;
};
const lifetime = (at, now) => (at === undefined ? '–' : at === null ? 'none' : duration(at - now));

// ---- asking ---------------------------------------------------------------------------------------------------------

async function ask(path) {
  const response = await fetch(path, { cache: 'no-store', credentials: 'same-origin' });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw Object.assign(new Error(answer.error ?? `${response.status} ${response.statusText}`), { status: response.status });
  }
  return answer;
}

function live(word, state) {
  $('live').textContent = word;
  $('live').className = `live ${state}`;
}

// ---- charts ---------------------------------------------------------------------------------------------------------

// The least "round" number that is not below `value`, in units of powers of `base`.
function ceiling(value, base) {
  const unit = base ** Math.floor(Math.log(Math.max(value, 1)) / Math.log(base));
  const power = unit * 10 ** Math.floor(Math.log10(Math.max(value, 1) / unit));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value);
}

// Lines over time: `series` are [class, name, values], the latest value last.
function chart(node, series, [format, base], label) {
  const width = Math.max(FEWEST, ...series.map(([, , values]) => values.length)) - 1;
  const top = ceiling(Math.max(...series.flatMap(([, , values]) => values), 1), base);
  const height = 100;
  const shapes = [0, 0.5, 1].map((at) => el('line', { class: 'rule', x1: 0, x2: width, y1: height * at, y2: height * at }));
  for (const [tint, , values] of series) {
    if (values.length < 2) continue;
    const points = values.map((value, index) => [width - (values.length - 1 - index), height - (value / top) * height]);
    const line = points.map(([x, y], index) => `${index ? 'L' : 'M'}${x} ${y.toFixed(2)}`).join('');
    shapes.push(el('path', { class: `area ${tint}`, d: `${line}L${width} ${height}L${points[0][0]} ${height}Z` }));
    shapes.push(el('path', { class: `line ${tint}`, d: line }));
  }
  const now = series.map(([, name, values]) => `${name} ${format(values.at(-1) ?? 0)}`).join(', ');
  const svg = el('svg', { viewBox: `0 -2 ${width} ${height + 4}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${label}: ${now}` }, shapes);
  const ticks = [0, 0.5, 1].map((at) => {
    const tick = el('span', { class: 'tick' }, format(top * (1 - at)));
    tick.style.top = `${((height * at + 2) / (height + 4)) * 100}%`;
    return tick;
  });
  const legend = series.length < 2 ? null : el('div', { class: 'legend' }, series.map(([tint, name, values]) => el('span', {},
    el('span', { class: `swatch ${tint}` }), `${name} `, el('b', {}, format(values.at(-1) ?? 0)))));
  node.replaceChildren(...[el('div', { class: 'plot' }, ticks, svg), legend].filter(Boolean));
}

// A bar of parts: [class, name, value, detail].
function stack(node, parts, label) {
  const total = parts.reduce((sum, [, , value]) => sum + value, 0);
  let from = 0;
  const shapes = parts.map(([tint, name, value]) => {
    const share = total ? (value / total) * 100 : 0;
    from += share;
    return el('rect', { class: `part ${tint}`, x: from - share, y: 0, width: share, height: 10 }, el('title', {}, `${name}: ${bytes(value)}`));
  });
  const rows = parts.map(([tint, name, value, detail]) => [
    el('span', {}, el('span', { class: `swatch ${tint}` }), name), detail, bytes(value),
  ]);
  const list = el('table');
  table(list, [['', ''], ['hashes', 'right'], ['memory', 'right']], rows, '');
  node.replaceChildren(el('svg', { class: 'bar', viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, shapes), list);
}

// ---- overview -------------------------------------------------------------------------------------------------------

const history = { last: null, commands: [], input: [], output: [], processor: [] };

function remember(name, value) {
  history[name].push(Math.max(0, value));
  if (history[name].length > KEPT) history[name].shift();
}

function tile(label, [value, unit], detail) {
  return el('div', { class: 'tile' }, el('div', { class: 'label' }, label),
    el('div', { class: 'number' }, value, el('span', { class: 'unit' }, unit ?? '')), el('div', { class: 'detail' }, detail));
}

function showTiles(now) {
  const { counters, memory, clients, databases } = now;
  const lookups = counters.hits + counters.misses;
  const keys = databases.reduce((sum, database) => sum + database.keys, 0);
  const expiring = databases.reduce((sum, database) => sum + database.expires, 0);
  const limit = memory.limit ? `of ${bytes(memory.limit)}, ${memory.policy}; ` : '';
  $('tiles').replaceChildren(
    tile('Commands a second', [short(history.commands.at(-1) ?? 0)], `${number(counters.commands)} since the start`),
    tile('Memory', size(memory.used), `${limit}peak ${bytes(memory.peak)}, resident ${bytes(memory.resident)}`),
    tile('Keys', [short(keys)], `${number(expiring)} expire, ${number(counters.expired_keys)} have expired`),
    tile('Clients', [number(clients.connected)], `of ${number(clients.most)}, ${number(counters.connections)} since the start`),
    tile('Lookups that hit', lookups ? [((counters.hits / lookups) * 100).toFixed(1), '%'] : ['–'], `${number(counters.misses)} missed`),
    tile('Processor', [(history.processor.at(-1) ?? 0).toFixed(0), '%'], `of one core; ${now.server.workers} worker thread${now.server.workers > 1 ? 's' : ''}`),
  );
}

function showCommands(now, before) {
  const earlier = new Map((before?.commands ?? []).map((command) => [command.name, command.calls]));
  const seconds = before ? (now.now_ms - before.now_ms) / 1000 : 0;
  const rate = (command) => (seconds > 0 ? Math.max(0, command.calls - (earlier.get(command.name) ?? 0)) / seconds : 0);
  const rows = now.commands.toSorted((one, other) => other.calls - one.calls).slice(0, 20).map((command) => [
    el('code', {}, command.name), number(rate(command)), number(command.calls),
    microseconds(command.calls && command.usec !== undefined ? command.usec / command.calls : undefined),
    ...[0, 1, 2].map((index) => microseconds(command.percentiles?.[index])),
    number(command.failed + command.rejected),
  ]);
  const names = now.percentiles ?? ['p50', 'p99', 'p99.9'];
  table($('commands'), [['Command', ''], ['a second', 'right'], ['calls', 'right'], ['average', 'right'],
    ...[0, 1, 2].map((index) => [names[index] ?? '', 'right']), ['errors', 'right']], rows, 'No commands yet.');
}

function showMemory({ memory, forms, template_memory: templates }) {
  const tints = { template: 'one', packed: 'two', table: 'three' };
  const names = { template: 'Small, names in a template', packed: 'Small, with their names', table: 'Big' };
  const parts = forms.map((form) => [tints[form.name], names[form.name], form.bytes, number(form.hashes)]);
  parts.push(['four', 'Templates', templates, ''], ['five', 'Clients', memory.clients, ''],
    ['six', 'Indexes and the server', Math.max(0, memory.overhead - memory.clients), '']);
  stack($('memory'), parts, 'Memory by what it is for');
}

function showTables({ templates, shows_templates: allowed, databases }) {
  const names = (fields) => {
    const chips = fields.slice(0, 12).map((field) => el('span', { class: 'chip' }, show(field)));
    return el('span', {}, chips, fields.length > 12 ? ` and ${fields.length - 12} more` : null);
  };
  table($('templates'), [['Fields', ''], ['hashes', 'right'], ['memory', 'right']],
    templates.map((template) => [names(template.fields), number(template.hashes), bytes(template.bytes)]),
    allowed ? 'None yet: a set of fields becomes a template when many hashes have it.' : 'Shown to users who may read every key.');
  table($('databases'), [['DB', ''], ['keys', 'right'], ['expire', 'right'], ['average TTL', 'right'], ['fields expire', 'right']],
    databases.map((database) => [String(database.db), number(database.keys), number(database.expires),
      database.expires ? duration(database.average_ttl_ms) : '–', number(database.with_field_expiry)]), '');
}

function showDatabases(databases) {
  const select = $('database');
  const wanted = new Set([...databases.map((database) => database.db), Number(select.value)]);
  const listed = new Set(Array.from(select.options, (option) => Number(option.value)));
  for (const index of wanted) {
    if (!listed.has(index)) select.append(el('option', { value: index }, String(index)));
  }
}

async function overview() {
  let now;
  try {
    now = await ask('/api/overview');
  } catch (error) {
    if (!error.status) throw error;
    problem('overview-notice', error);
    return;
  }
  problem('overview-notice', null);
  const before = history.last?.server.run_id === now.server.run_id ? history.last : null;
  if (before) {
    const seconds = Math.max(0.001, (now.now_ms - before.now_ms) / 1000);
    remember('commands', (now.counters.commands - before.counters.commands) / seconds);
    remember('input', (now.counters.bytes_in - before.counters.bytes_in) / seconds);
    remember('output', (now.counters.bytes_out - before.counters.bytes_out) / seconds);
    remember('processor', (now.processor_ms - before.processor_ms) / seconds / 10);
  }
  history.last = now;
  $('version').textContent = now.server.version;
  $('user').textContent = isBytes(now.user) ? 'this user' : `“${now.user}”`;
  $('server').textContent = `port ${now.server.port}, up ${duration(now.now_ms - now.server.started_at_ms)}`;
  showDatabases(now.databases);
  if ($('view-overview').hidden) return;
  showTiles(now);
  chart($('throughput'), [['one', 'commands', history.commands]], [short, 1000], 'Commands a second');
  chart($('network'), [['two', 'in', history.input], ['three', 'out', history.output]], [bytes, 1024], 'Bytes a second');
  showCommands(now, before);
  showMemory(now);
  showTables(now);
}

// ---- hashes ---------------------------------------------------------------------------------------------------------

const browsing = { database: 0, pattern: '', cursor: null, lines: [], lookedAt: 0, key: null, fieldCursor: null, fields: [], now: 0, asked: 0 };

function showKeys(answer) {
  const rows = browsing.lines.map(({ line, now }) => {
    const open = el('button', { type: 'button', class: 'link', onclick: () => { location.hash = address(line.key); } }, show(line.key));
    return [open, line.fields === undefined ? '–' : number(line.fields), lifetime(line.expires_at_ms, now), bytes(line.bytes)];
  });
  table($('keys'), [['Key', ''], ['fields', 'right'], ['expires in', 'right'], ['memory', 'right']], rows,
    browsing.cursor ? 'None so far.' : 'No keys that match and that you may read.');
  const of = answer.size === null ? '' : ` of ${number(answer.size)}`;
  const long = answer.too_long ? `, ${number(answer.too_long)} with names too long to show` : '';
  $('keys-note').textContent = `${number(browsing.lines.length)} found, ${number(browsing.lookedAt)}${of} looked at${long}`;
  $('more-keys').hidden = !browsing.cursor;
  markChosen();
}

function markChosen() {
  const chosen = browsing.key === null ? null : encoded(browsing.key);
  $('keys').querySelectorAll('tbody tr').forEach((row, index) => {
    const line = browsing.lines[index]?.line;
    row.classList.toggle('chosen', line !== undefined && encoded(line.key) === chosen);
  });
}

async function searchKeys(isNew) {
  if (isNew) Object.assign(browsing, { cursor: '0', lines: [], lookedAt: 0 });
  const request = ++browsing.asked;
  $('more-keys').disabled = true;
  try {
    const answer = await ask(`/api/keys?db=${browsing.database}&match=${encodeURIComponent(browsing.pattern)}&cursor=${browsing.cursor}`);
    if (request !== browsing.asked) return;
    browsing.cursor = answer.cursor === '0' ? null : answer.cursor;
    browsing.lookedAt += answer.looked_at;
    browsing.lines.push(...answer.keys.map((line) => ({ line, now: answer.now_ms })));
    problem('keys-problem', null);
    showKeys(answer);
  } catch (error) {
    $('more-keys').hidden = true;
    table($('keys'), [], [], '');
    $('keys-note').textContent = '';
    browsing.cursor = null;
    problem('keys-problem', error);
  } finally {
    $('more-keys').disabled = false;
  }
}

function address(key) {
  const pattern = browsing.pattern ? `&match=${encodeURIComponent(browsing.pattern)}` : '';
  return `#hashes?db=${browsing.database}${pattern}${key === null ? '' : `&key=${encoded(key)}`}`;
}

// A value that is longer than what was sent can be asked for.
function shownValue(line) {
  const shown = isBytes(line.value) ? bytesOf(line.value).length : new TextEncoder().encode(line.value).length;
  const value = show(line.value, shown < line.value_length ? `… ${bytes(line.value_length)} in all` : '');
  if (shown >= line.value_length || line.field_length > 1024) return value;
  const holder = el('div', {}, value, ' ');
  holder.append(el('button', { type: 'button', class: 'link', onclick: async () => {
    try {
      const answer = await ask(`/api/value?db=${browsing.database}&key=${encoded(browsing.key)}&field=${encoded(line.field)}`);
      const cut = answer.length > 256 * 1024 ? `… ${bytes(answer.length)} in all` : '';
      holder.replaceChildren(show(answer.value, cut));
    } catch (error) {
      holder.replaceChildren(value, el('span', { class: 'cut' }, ` ${error.message}`));
    }
  } }, 'Show more'));
  return holder;
}

function showFields(answer) {
  const facts = [['Fields', answer.fields === undefined ? null : number(answer.fields)], ['Expires in', lifetime(answer.expires_at_ms, answer.now_ms)],
    ['Encoding', answer.encoding ?? null], ['Memory', answer.bytes === undefined ? null : bytes(answer.bytes)]];
  $('hash-title').replaceChildren(show(answer.key));
  $('hash-facts').replaceChildren(...facts.filter(([, value]) => value !== null && value !== '–')
    .map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
  const columns = [['Field', ''], ['Value', '']];
  if (answer.shows_expiry) columns.push(['expires in', 'right']);
  const rows = browsing.fields.map((line) => [show(line.field, line.field_length > 1024 ? `… ${bytes(line.field_length)} in all` : ''), shownValue(line),
    ...(answer.shows_expiry ? [lifetime(line.expires_at_ms, answer.now_ms)] : [])]);
  table($('fields'), columns, rows, 'No fields.');
  $('more-fields').hidden = !browsing.fieldCursor;
}

async function openHash(key, isNew) {
  if (isNew) Object.assign(browsing, { key, fieldCursor: '0', fields: [] });
  markChosen();
  $('hash').classList.add('open');
  $('more-fields').disabled = true;
  try {
    const answer = await ask(`/api/hash?db=${browsing.database}&key=${encoded(key)}&cursor=${browsing.fieldCursor}`);
    if (browsing.key !== key) return;
    browsing.fieldCursor = answer.cursor === '0' ? null : answer.cursor;
    browsing.fields.push(...answer.items);
    problem('hash-problem', null);
    showFields(answer);
  } catch (error) {
    closeHash();
    $('hash-title').replaceChildren(show(key));
    problem('hash-problem', error);
  } finally {
    $('more-fields').disabled = false;
  }
}

function closeHash() {
  $('hash').classList.remove('open');
  $('hash-title').textContent = 'Fields';
  $('hash-facts').replaceChildren();
  $('more-fields').hidden = true;
  problem('hash-problem', null);
  table($('fields'), [], [], 'Choose a key to see its fields.');
}

function browse(query) {
  const database = Number(query.db ?? 0);
  const pattern = query.match === undefined ? '' : decodeURIComponent(query.match);
  const isOther = browsing.cursor === null && browsing.lines.length === 0;
  if (isOther || database !== browsing.database || pattern !== browsing.pattern) {
    Object.assign(browsing, { database, pattern });
    showDatabases([{ db: database }]);
    $('database').value = String(database);
    $('pattern').value = pattern;
    searchKeys(true);
  }
  if (query.key === undefined) {
    browsing.key = null;
    closeHash();
    markChosen();
  } else {
    openHash(decoded(query.key), true);
  }
}

$('search').addEventListener('submit', (event) => {
  event.preventDefault();
  Object.assign(browsing, { database: Number($('database').value), pattern: $('pattern').value });
  const target = address(null);
  if (location.hash === target) browse({});
  else window.history.pushState(null, '', target);
  browsing.key = null;
  closeHash();
  searchKeys(true);
});
$('database').addEventListener('change', () => $('search').requestSubmit());
$('more-keys').addEventListener('click', () => searchKeys(false));
$('more-fields').addEventListener('click', () => openHash(browsing.key, false));

// ---- the other views ------------------------------------------------------------------------------------------------

// Asks for a view's data; says so if it is refused.
async function fill(name, showAnswer) {
  try {
    const answer = await ask(`/api/${name}`);
    problem(`${name}-problem`, null);
    showAnswer(answer);
  } catch (error) {
    if (!error.status) throw error;
    $(name).replaceChildren();
    problem(`${name}-problem`, error);
  }
}

const clients = () => fill('clients', (answer) => {
  $('clients-note').textContent = answer.total > answer.clients.length ? `the oldest ${answer.clients.length} of ${number(answer.total)}` : number(answer.total);
  table($('clients'), [['Id', 'right'], ['Address', ''], ['Name', ''], ['User', ''], ['Library', ''], ['DB', 'right'], ['Last command', ''],
    ['commands', 'right'], ['age', 'right'], ['idle', 'right'], ['memory', 'right']], answer.clients.map((client) => [
    String(client.id), el('code', {}, client.address), client.name === '' ? '' : show(client.name), show(client.user), client.library === '' ? '' : show(client.library), String(client.db),
    client.command ? el('code', {}, client.command) : '–', number(client.commands), duration(client.age * 1000), duration(client.idle * 1000), bytes(client.bytes),
  ]), 'Nobody is connected.');
});

const slowlog = () => fill('slowlog', (answer) => {
  $('slowlog-note').textContent = answer.threshold_us < 0 ? 'off' : `${number(answer.total)} entries, from ${microseconds(answer.threshold_us)} on`;
  table($('slowlog'), [['When', ''], ['took', 'right'], ['Command', ''], ['Client', '']], answer.entries.map((entry) => [
    el('span', { title: new Date(entry.at_ms).toISOString() }, `${duration(Math.max(0, answer.now_ms - entry.at_ms))} ago`), microseconds(entry.usec),
    el('span', {}, entry.arguments.map((argument) => el('span', { class: 'chip' }, show(argument)))),
    el('span', {}, el('code', {}, entry.address), entry.name === '' ? null : ' ', entry.name === '' ? null : show(entry.name)),
  ]), 'Nothing has been slow.');
});

const hotkeys = () => fill('hotkeys', (answer) => {
  if (!answer.metrics) {
    $('hotkeys').replaceChildren(el('p', { class: 'empty' }, 'Nobody has asked for hot keys. ', el('code', {}, 'HOTKEYS START METRICS 2 CPU NET'), ' starts to look for them.'));
    return;
  }
  const state = answer.is_running ? `looking for ${duration(answer.duration_ms)}` : `looked for ${duration(answer.duration_ms)}`;
  $('hotkeys').replaceChildren(...answer.metrics.map((metric) => {
    const list = el('table');
    const most = Math.max(1, ...metric.keys.map((line) => line.amount));
    const amount = metric.unit === 'us' ? microseconds : bytes;
    table(list, [['Key', ''], ['', ''], [metric.unit === 'us' ? 'time' : 'bytes', 'right']], metric.keys.map((line) => [show(line.key),
      el('svg', { class: 'share', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, el('rect', { class: 'part one', x: 0, y: 0, height: 10, width: (line.amount / most) * 100 })),
      amount(line.amount)]), 'None that you may read.');
    return el('article', { class: 'card' }, el('h2', {}, metric.name, el('small', {}, ` ${state}`)), el('div', { class: 'scroll' }, list));
  }));
});

// ---- which view -----------------------------------------------------------------------------------------------------

const views = { overview: null, hashes: null, clients, slowlog, hotkeys };

function place() {
  const [name, query = ''] = location.hash.slice(1).split('?');
  const pairs = query.split('&').filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
  return [name in views ? name : 'overview', Object.fromEntries(pairs)];
}

function turn() {
  const [name, query] = place();
  for (const view of Object.keys(views)) $(`view-${view}`).hidden = view !== name;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (name !== shown) window.scrollTo(0, 0);
  shown = name;
  if (name === 'hashes') browse(query);
  look();
}

let shown = '';
let timer = 0;
let isLooking = false;
async function look() {
  clearTimeout(timer);
  if (!isLooking && !document.hidden) {
    isLooking = true;
    try {
      await overview();
      await views[place()[0]]?.();
      live('live', 'yes');
    } catch {
      live('no answer', 'no');
    }
    isLooking = false;
  }
  timer = setTimeout(look, EVERY_MS);
}

window.addEventListener('hashchange', turn);
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
closeHash();
turn();
