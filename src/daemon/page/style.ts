/** How the status page looks, and how it refreshes itself. */

/** The whole style: one column on a phone, columns on a screen; light and dark. */
export const style = `:root{color-scheme:light dark;--bg:#f4f6f4;--card:#fff;--ink:#18201b;--dim:#56615a;--line:#dfe5e0;--grid:#e9edea;--bar:#2fa36b;--ok:#0b7442;--okbg:#e3f4ea;--warn:#8a5200;--warnbg:#fdf0d8;--bad:#ad1f1a;--badbg:#fde7e5;--forced:#2563c9;--rep:#7a3fc4;--dead:#e8a39e}
@media(prefers-color-scheme:dark){:root{--bg:#0f1411;--card:#171e1a;--ink:#e6ede8;--dim:#9dada3;--line:#29332d;--grid:#222b26;--bar:#37b277;--ok:#6fdba6;--okbg:#12301f;--warn:#f2c068;--warnbg:#35270d;--bad:#ff9c94;--badbg:#3b1614;--forced:#86b4ff;--rep:#c9a2ff;--dead:#7d2b27}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:110rem;padding:1rem clamp(.75rem,2.5vw,2.5rem) 3rem;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
a{color:inherit;text-underline-offset:.2em}
:focus-visible{outline:2px solid var(--forced);outline-offset:2px;border-radius:.3rem}
header{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem 1rem}
header strong{font-weight:650;letter-spacing:-.01em;margin-right:auto}
header strong span{color:var(--dim);font-weight:400;margin-left:.6em}
button,input{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.25rem .7rem;min-height:2rem}
button{cursor:pointer}
button[aria-pressed=true]{background:var(--warnbg);color:var(--warn);border-color:currentColor}
h1{font-size:clamp(1.25rem,1rem + 1.6vw,2.1rem);font-weight:650;line-height:1.2;letter-spacing:-.02em;margin:1.4rem 0 1.2rem;display:flex;align-items:baseline}
h1::before,li>span::before{content:"●"/"";font-size:.7em;margin-right:.45em;position:relative;top:-.12em}
h1.ok::before,.ok>span{color:var(--ok)}
h1.warn::before,.warn>span{color:var(--warn)}
h1.bad::before,.bad>span{color:var(--bad)}
h1.warn::before,.warn>span::before{content:"▲"/""}
h1.bad::before,.bad>span::before{content:"✕"/"";font-weight:700}
h2{font-size:1rem;font-weight:600;margin:0}
#old{background:var(--badbg);color:var(--bad);padding:.5rem .9rem;border-radius:.6rem;margin:1rem 0 0}
.t{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--bad);border-radius:.6rem;padding:.7rem 1rem;margin:0 0 .8rem}
.t.warn{border-left-color:var(--warn)}
.t p{margin:.15rem 0}
.t p+p,.e p+p{color:var(--dim)}
code{font:.92em ui-monospace,"SF Mono",Menlo,Consolas,monospace}
.bar{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;align-items:center;justify-content:space-between;margin:1.4rem 0 .6rem}
form{display:flex;gap:.4rem}
form input{width:11rem}
h2 a{font-size:.92rem;font-weight:400;margin-left:.6em}
.key{display:flex;flex-wrap:wrap;gap:.15rem 1rem;list-style:none;margin:0;padding:0;color:var(--dim);font-size:.87rem}
.key svg{width:1.6rem;height:.9rem;background:none;margin-right:.35rem;vertical-align:-.1rem;display:inline}
.key li{white-space:nowrap}
.axis{display:none;color:var(--dim);font-size:.8rem;padding:0 calc(1rem + 1px) .25rem;column-gap:.8rem}
.axis span:nth-child(1){grid-column:4;position:relative;height:1.2em}
.axis i{position:absolute;font-style:normal;transform:translateX(-50%);white-space:nowrap}
.axis i:nth-child(1){left:0;transform:none}.axis i:nth-child(2){left:46.15%}.axis i:nth-child(3){left:92.31%}
ol{list-style:none;margin:0;padding:0;background:var(--card);border:1px solid var(--line);border-radius:.8rem;overflow:hidden}
ol>li{display:grid;grid-template-columns:1fr auto;gap:.1rem .8rem;padding:.65rem 1rem;border-top:1px solid var(--grid);align-items:center}
ol>li:first-child{border-top:0}
ol b{font-weight:600;overflow-wrap:anywhere}
small{color:var(--dim);font-size:.85rem}
ol b small{display:block;font-weight:400}
.c b{font-weight:500;padding-left:1.25rem}
.c b::before{content:"└"/"";color:var(--dim);margin:0 .4em 0 -1.1em}
ol p{margin:0;font-variant-numeric:tabular-nums}
ol>li>span{justify-self:end;white-space:nowrap;font-size:.92rem}
ol>li>p{grid-column:1/-1;color:var(--dim);font-size:.92rem}
svg{display:block;width:100%;height:26px;grid-column:1/-1;background:linear-gradient(var(--dim),var(--dim)) 92.31% 0/1px 100% no-repeat,repeating-linear-gradient(90deg,var(--line) 0 1px,#0000 1px 23.077%)}
path{fill:none;stroke:var(--bar);stroke-width:5px;vector-effect:non-scaling-stroke}
.d{stroke:var(--dead);stroke-width:24px;stroke-dasharray:3 1.5}
.x{stroke:var(--bad);stroke-width:3px}
.f{stroke:var(--forced);stroke-width:2px}
.p{stroke:var(--dim);stroke-width:3px;stroke-dasharray:2 2}
.r{stroke:var(--rep);stroke-width:2px;stroke-dasharray:2 2}
.e{grid-column:1/-1;font-size:.92rem;padding:.3rem 0 .2rem}
.e p{overflow-wrap:anywhere}
.bad>.e{color:var(--bad)}.warn>.e{color:var(--warn)}
.e p+p{color:var(--dim)}
nav{display:flex;flex-wrap:wrap;gap:1rem;justify-content:space-between;align-items:center;margin:1rem .2rem}
footer{color:var(--dim);font-size:.85rem;margin-top:1.5rem;overflow-wrap:anywhere}
@media(max-width:26rem){header strong span{display:none}}
@media(min-width:56rem){ol>li,.axis{grid-template-columns:14rem 7rem 11rem 1fr}.axis{display:grid}ol>li>span{justify-self:start}ol>li>p,svg{grid-column:auto}ol>li>p{color:var(--ink)}.e{grid-column:1/-1}}
@media(min-width:90rem){ol>li,.axis{grid-template-columns:24rem 8rem 18rem 1fr}ol b small{display:inline;margin-left:.5em}}
@media(prefers-reduced-motion:no-preference){a,button{transition:color .15s,background .15s}}
@media print{body{background:#fff}button,form{display:none}}`;

/**
 * Fetches the page again every few seconds and puts what is new in place of the old:
 * focus, scroll position and what is typed stay. Without scripts the page is loaded anew.
 */
export const script = `(()=>{const $=i=>document.getElementById(i),b=$("hold");let held=false;b.hidden=false;b.onclick=()=>{held=!held;b.setAttribute("aria-pressed",held)};const look=async()=>{if(document.hidden||held)return;try{const r=await fetch(location.href);if(!r.ok)throw r;const d=new DOMParser().parseFromString(await r.text(),"text/html"),f=document.activeElement.id;for(const i of["say","all"]){const o=$(i),n=d.getElementById(i);if(o.outerHTML!==n.outerHTML)i==="say"?(o.className=n.className,o.textContent=n.textContent):o.replaceWith(n)}document.title=d.title;if(f&&document.activeElement.id!==f)$(f)?.focus();$("old").hidden=true}catch{$("old").hidden=false}};setInterval(look,10000);document.addEventListener("visibilitychange",look)})()`;
