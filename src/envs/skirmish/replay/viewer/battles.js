// The list of battles, where a page has several.

const RESULTS = { truncated: "time limit" };

function resultName(result) { return RESULTS[result] ?? result; }

class Battles {
  constructor(battles, choose) {
    const list = document.getElementById("battles-list");
    document.getElementById("battles").hidden = battles.length < 2;
    document.querySelector("main").classList.toggle("several", battles.length > 1);
    const won = battles.filter(({ result }) => result === "won").length;
    document.getElementById("battles-title").textContent = `${battles.length} battles, ${won} won`;
    this.buttons = battles.map((battle, number) => this.line(list, battle, number, choose));
  }

  line(list, { map, result, n_steps: steps, return: total, seed }, number, choose) {
    const button = element("button", "", list);
    element("b", "", button, `${number + 1} · ${map}`);
    element("span", `badge ${result}`, button, resultName(result));
    element("small", "", button, `return ${total.toFixed(2)} · ${steps} steps`);
    button.title = `seed ${seed}`;
    button.addEventListener("click", () => choose(number));
    return button;
  }

  mark(number) {
    this.buttons.forEach((button, k) => (k === number ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current")));
    this.buttons[number].scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
