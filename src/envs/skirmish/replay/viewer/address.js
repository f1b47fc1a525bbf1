// The address of a moment: page.html#t=37 is the state after 37 env steps. A part of a step is a part of its game loops.
// Beside it: battle (where there are several, from 1), agent ("none" or its number), speed, play, map, theme, and bars,
// orders, ids and ranges as 1 or 0.

function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const number = (key) => (wanted.has(key) && Number.isFinite(Number(wanted.get(key))) ? Number(wanted.get(key)) : null);
  const flags = ["bars", "orders", "ids", "ranges"].filter((flag) => wanted.has(flag)).map((flag) => [flag, wanted.get(flag) !== "0"]);
  return {
    time: number("t"), battle: number("battle"), agent: wanted.get("agent") === "none" ? -1 : number("agent"), speed: number("speed"),
    play: wanted.has("play"), map: wanted.has("map"), theme: wanted.get("theme"), flags: Object.fromEntries(flags),
  };
}

// The address of what is seen now, without the file's name.
function addressOf({ time, replay, battle, battles, picked, flags }) {
  const parts = [`t=${Number((Math.floor(time) / replay.step_mul).toFixed(3))}`];
  if (battles.length > 1) parts.unshift(`battle=${battle + 1}`);
  if (picked !== 0) parts.push(`agent=${picked < 0 ? "none" : picked}`);
  for (const [flag, on] of Object.entries(flags)) if (on !== (flag === "bars")) parts.push(`${flag}=${on ? 1 : 0}`);
  return `#${parts.join("&")}`;
}

// In a report's frame the page has no address of its own.
function hasAddress() { return location.protocol !== "about:"; }

function writeAddress(hash) {
  if (hasAddress() && hash !== location.hash) history.replaceState(null, "", hash);
}

// Some browsers refuse the clipboard to a file: then the address is shown, to be copied by hand.
async function copyAddress(say) {
  const text = location.href;
  try {
    await navigator.clipboard.writeText(text);
    say("Link copied");
  } catch {
    say(text, 12000);
  }
}
