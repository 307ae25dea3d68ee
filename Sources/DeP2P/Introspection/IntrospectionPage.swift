internal import DeP2PIdentity

/// The page at `/`: one file without a build step. Its script asks the same documents that anybody can ask, every two seconds,
/// and puts what peers chose into the page as text alone.
///
/// It answers in this order: am I reachable and why not, who is connected over which path, what moves now, what failed last.
enum IntrospectionPage {
    static let html = """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1"><title>dep2p node</title>
        <link rel="icon" href="data:,">
        <style>\(style)</style></head><body>
        <header><h1>dep2p node</h1><p id="who" class="id">…</p><p id="since" class="quiet"></p></header>
        <p id="stale" class="bad" role="alert" hidden>This node does not answer any more.</p>
        <main>
        <section><h2>Am I reachable?</h2><p id="answer" class="answer">…</p><p id="why"></p><p id="hint" class="quiet"></p>
        <ul id="addresses" class="id"></ul></section>
        <section><h2>Who is connected?</h2><p id="none" class="quiet"></p><div id="peers"></div></section>
        <section><h2>What moves now?</h2><div id="moves"></div></section>
        <section><h2>What failed last?</h2><div id="failures"></div></section>
        </main>
        <script>\(script)</script></body></html>

        """

    /// Nothing from anywhere else, and of this page only what was written here.
    static let policy =
        "default-src 'none'; img-src data:; style-src 'sha256-\(digest(style))'; script-src 'sha256-\(digest(script))'; "
        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    private static func digest(_ text: String) -> String { Base64.encode(SHA256.hash(Array(text.utf8)).bytes) }

    private static let style = """

        :root { color-scheme: light dark; font: 16px/1.45 system-ui, sans-serif; background: Canvas; color: CanvasText }
        body { margin: 0 auto; padding: 1rem; max-width: 68rem }
        h1 { font-size: 1.1rem; margin: 0 } h2 { font-size: 1rem; margin: 0 0 .5rem }
        p { margin: .2rem 0 } section { border-top: 1px solid light-dark(#ccc, #444); padding: .9rem 0 }
        header { padding-bottom: .9rem }
        .id { font-family: ui-monospace, monospace; font-size: .82rem; overflow-wrap: anywhere }
        .quiet { color: light-dark(#5a5a5a, #a8a8a8) }
        .answer { font-size: 1.5rem; font-weight: 600 }
        .good { color: light-dark(#1a6b2f, #6fce88) } .fair { color: light-dark(#845400, #e9b654) }
        .bad { color: light-dark(#a3201c, #ff8f87) }
        ul { padding-left: 1.1rem; margin: .4rem 0 0 } table { border-collapse: collapse; width: 100% }
        th, td { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: baseline }
        th { font-weight: 500; font-size: .82rem; color: light-dark(#5a5a5a, #a8a8a8) }
        td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
        tr + tr td, thead + tbody td { border-top: 1px solid light-dark(#e6e6e6, #333) }
        @media (max-width: 44rem) {
          table, tbody, tr, td { display: block } thead { display: none }
          tr { padding: .45rem 0; border-top: 1px solid light-dark(#e6e6e6, #333) } tr:first-child { border-top: 0 }
          tr + tr td, thead + tbody td { border-top: 0 }
          td, td.number { padding: .05rem 0; text-align: left }
          td[data-of]::before { content: attr(data-of) " "; color: light-dark(#5a5a5a, #a8a8a8); font-size: .82rem }
        }

        """

    private static let script = """

        'use strict';
        const at = id => document.getElementById(id);
        const put = (id, text, mood) => { at(id).textContent = text || ''; if (mood !== undefined) at(id).className = mood; };
        const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
        function bytes(count) {
          let unit = 0;
          while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit += 1; }
          return (unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)) + ' ' + units[unit];
        }
        const rate = count => count === null ? '…' : bytes(count) + '/s';
        function time(seconds) {
          if (seconds < 90) return Math.round(seconds) + ' s';
          if (seconds < 5400) return Math.round(seconds / 60) + ' min';
          if (seconds < 129600) return Math.round(seconds / 3600) + ' h';
          return Math.round(seconds / 86400) + ' days';
        }
        const short = id => id ? id.slice(0, 6) + '…' + id.slice(-6) : '';
        function table(id, columns, rows) {
          const table = document.createElement('table'), head = table.createTHead().insertRow(), body = table.createTBody();
          for (const [name, kind] of columns) {
            const cell = document.createElement('th');
            cell.textContent = name; cell.className = kind; cell.scope = 'col'; head.append(cell);
          }
          for (const row of rows) {
            const line = body.insertRow();
            row.forEach((value, index) => {
              const cell = line.insertCell(), [name, kind] = columns[index];
              const [text, title, mood] = Array.isArray(value) ? value : [value];
              cell.textContent = text; cell.className = [kind, mood].filter(Boolean).join(' ');
              if (title) cell.title = title;
              if (index > 0) cell.dataset.of = name;
            });
          }
          at(id).replaceChildren(...(rows.length ? [table] : []));
        }
        const answers = {
          yes: ['Yes, from everywhere', 'answer good'], relay: ['Through a relay', 'answer fair'],
          no: ['No', 'answer bad'], unknown: ['Not known yet', 'answer fair']
        };
        function showNode(node) {
          put('who', node.node_id);
          put('since', node.agent + ', up for ' + time(node.up_seconds) + (node.realm_id ? ', in the realm ' + short(node.realm_id)
            : ', in no realm'));
          const [text, mood] = answers[node.reachability.reachable] || [node.reachability.reachable, 'answer'];
          put('answer', text, mood); put('why', node.reachability.why); put('hint', node.reachability.hint);
          at('addresses').replaceChildren(...node.addresses.map(address => {
            const item = document.createElement('li'); item.textContent = address; return item;
          }));
        }
        const states = { online: 'good', unstable: 'fair', offline: 'bad' };
        function showConnections(all) {
          put('none', all.count === 0 ? 'Nobody.' : all.left_out ? all.left_out + ' more are not listed.' : '');
          table('peers', [['node', 'id'], ['path', ''], ['state', ''], ['round trip', 'number'], ['sent', 'number'],
            ['received', 'number'], ['open for', 'number']],
            all.connections.map(c => [[short(c.node_id) + (c.member ? ' (member)' : ''), c.node_id],
              [c.relay ? 'relay ' + short(c.relay) : c.path, c.relay || c.address || ''],
              [c.state || 'connected', c.reason || '', states[c.state]], c.rtt_ms === null ? '' : c.rtt_ms.toFixed(1) + ' ms',
              bytes(c.wire.sent), bytes(c.wire.received), time(c.open_seconds)]));
        }
        function showBandwidth(now) {
          const row = (name, flow) => [name, rate(flow.sent_per_second), rate(flow.received_per_second), bytes(flow.sent),
            bytes(flow.received)];
          const rows = [row('all, on the wire', now.total.wire), row('all, payload', now.total.payload)];
          for (const path of ['direct', 'punched', 'relay'])
            if (now.paths[path].wire.sent + now.paths[path].wire.received) rows.push(row(path + ', on the wire', now.paths[path].wire));
          for (const [name, flow] of Object.entries(now.protocols))
            if (flow.sent + flow.received) rows.push(row(name, flow));
          table('moves', [['what', ''], ['sends', 'number'], ['receives', 'number'], ['sent', 'number'], ['received', 'number']],
            rows);
        }
        function showHealth(health) {
          const rows = health.failures.slice(0, 12).map(f => [[new Date(f.at).toLocaleString(), f.at], f.what,
            [short(f.node_id), f.node_id], f.reason]);
          table('failures', [['when', ''], ['what', ''], ['node', 'id'], ['why', '']], rows);
          if (!rows.length) at('failures').textContent = 'Nothing, since somebody looks.';
        }
        async function ask(path) {
          const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(5000) });
          if (!answer.ok) throw new Error(path);
          return answer.json();
        }
        async function look() {
          try {
            const [node, connections, bandwidth, health] = await Promise.all(
              ['/node', '/connections', '/bandwidth', '/health'].map(ask));
            showNode(node); showConnections(connections); showBandwidth(bandwidth); showHealth(health);
            at('stale').hidden = true;
          } catch { at('stale').hidden = false; }
          setTimeout(look, document.hidden ? 10000 : 2000);
        }
        look();

        """
}
