// The style of the double's page, inlined into it.

export const STYLE = `
:root { --ink: #1f2733; --soft: #667085; --line: #e4e7ec; --ground: #f5f6f8; --bad: #b42318; --bad-ground: #fef3f2; --good: #067647; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header, main { max-width: 1200px; margin: 0 auto; padding: 0 32px; }
header { padding-top: 28px; }
h1 { margin: 0; font-size: 28px; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 32px 0 12px; font-size: 17px; }
header p { margin: 4px 0 0; color: var(--soft); }
.counts { display: grid; grid-template-columns: repeat(3, 1fr); gap: 16px; margin: 20px 0 24px; padding: 0; list-style: none; }
.counts li { padding: 14px 18px; background: #fff; border: 1px solid var(--line); border-radius: 10px; color: var(--soft); }
.counts strong { display: block; color: var(--ink); font-size: 32px; line-height: 1.15; font-variant-numeric: tabular-nums; }
.counts .bad { background: var(--bad-ground); border-color: #fecdca; color: var(--bad); }
.counts .bad strong { color: var(--bad); }
.counts .good strong { color: var(--good); }
table { width: 100%; border-collapse: separate; border-spacing: 0; background: #fff; border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
th { padding: 9px 16px; background: #fafbfc; color: var(--soft); font-size: 13px; font-weight: 600; text-align: left; }
td { padding: 11px 16px; border-top: 1px solid var(--line); vertical-align: top; }
td:first-child { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.vid { display: block; font-variant-numeric: tabular-nums; font-weight: 600; }
.views .vid, .repaired .vid { display: inline; font-weight: 500; }
.email { display: block; font-weight: 600; }
.note { display: block; color: var(--soft); font-size: 13px; }
.tag { display: inline-block; padding: 1px 9px; border-radius: 99px; background: #eef2f6; color: #475467; font-size: 12.5px; white-space: nowrap; }
.tag.tracking { background: #fff4e5; color: #93370d; }
.tag.bad { background: var(--bad); color: #fff; font-weight: 600; }
.tag.bad + .note { display: inline; }
.warn { color: var(--bad); }
tr.duplicate td { background: var(--bad-ground); border-top-color: #fee4e2; }
tr.duplicate td:first-child { padding-left: 36px; box-shadow: inset 4px 0 0 var(--bad); }
.why { margin: 6px 0 0; padding-left: 17px; color: var(--bad); font-size: 13px; }
code { padding: 1px 6px; border-radius: 5px; background: #f2f4f7; color: #475467; font: 12.5px/1.6 ui-monospace, "DejaVu Sans Mono", monospace; }
.views td { padding-top: 6px; padding-bottom: 6px; font-size: 13.5px; }
.repaired { margin: 0; padding-left: 18px; font-size: 14px; }
details { margin: 28px 0; }
summary { margin-bottom: 12px; font-weight: 600; cursor: pointer; }
main { padding-bottom: 40px; }
.empty { padding: 24px; background: #fff; border: 1px solid var(--line); border-radius: 10px; color: var(--soft); }
`;
