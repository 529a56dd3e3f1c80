// Comforts only: every page works without this file.
"use strict";

const drawn = (paths) => {
  const make = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
  const svg = make("svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const [d, kind] of paths) {
    const path = make("path");
    path.setAttribute("d", d);
    if (kind) path.setAttribute("class", kind);
    svg.append(path);
  }
  return svg;
};

const EYE = [
  ["M2 12s3.600-7 10-7 10 7 10 7-3.600 7-10 7S2 12 2 12z"], ["M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6z"], ["M4 4l16 16", "slash"],
];

for (const input of document.querySelectorAll("input[data-show]")) {
  const button = document.createElement("button");
  const show = (visible) => {
    input.type = visible ? "text" : "password";
    button.setAttribute("aria-pressed", String(visible));
    button.title = visible ? input.dataset.hide : input.dataset.show;
  };
  button.type = "button";
  button.className = "eye";
  button.setAttribute("aria-controls", input.id);
  button.setAttribute("aria-label", input.dataset.show);
  button.append(drawn(EYE));
  button.addEventListener("click", () => show(input.type === "password"));
  // Browsers offer to save a password only when it leaves in a field of that type.
  input.form.addEventListener("submit", () => show(false));
  show(false);
  input.after(button);
  input.parentElement.classList.add("eyed");
}

// A menu closes as people expect of one.
for (const menu of document.querySelectorAll("details.menu")) {
  addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

// On a slow line a second press would send the form again, and the answer to the second is the one that is seen: a link
// that was used, an address that is taken.
for (const form of document.querySelectorAll("form[method=post]")) {
  const rest = () => form.removeAttribute("aria-busy");
  form.addEventListener("submit", (event) => {
    if (form.getAttribute("aria-busy")) {
      event.preventDefault();
      return;
    }
    form.setAttribute("aria-busy", "true");
    // A page may have been stopped, or come back to.
    setTimeout(rest, 15_000);
  });
  addEventListener("pageshow", rest);
}

for (const input of document.querySelectorAll("input[data-caps-lock]")) {
  const hint = input.closest(".field").querySelector(".hint");
  // What an input method of Japanese makes: full-width letters and digits, kana, the wide space.
  const wide = /[\u3000-\u30ff\uff01-\uff9f]/;
  let capsLock = false;
  const tell = () => {
    const words = wide.test(input.value) ? input.dataset.fullWidth : capsLock ? input.dataset.capsLock : "";
    if (hint.textContent !== words) hint.textContent = words;
    hint.hidden = !words;
  };
  const listen = (event) => {
    // Password managers send key events that know nothing of keys.
    if (event.getModifierState) capsLock = event.getModifierState("CapsLock");
    tell();
  };
  input.addEventListener("keydown", listen);
  input.addEventListener("keyup", listen);
  input.addEventListener("input", tell);
  input.addEventListener("blur", () => { capsLock = false; tell(); });
}

// A browser does not send the fragment of an address, such as #/orders/42, so it joins the path to come back to. The
// server checks the whole of it.
if (location.hash.length > 1) {
  const fragment = location.hash.replace(/[^!-[\]-~]/g, encodeURIComponent);
  for (const input of document.querySelectorAll("input[name=next]")) {
    const whole = input.value.split("#", 1)[0] + fragment;
    // The server drops a longer one whole.
    if (input.value && whole.length <= 16000) input.value = whole;
  }
}

for (const span of document.querySelectorAll("[data-retry-after]")) {
  const language = document.documentElement.lang;
  const words = (n, unit) => {
    const text = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(n);
    return span.dataset.join ? text : text.replace(/\s/g, "");
  };
  // Asked of the clock each time, since browsers slow timers down in tabs that are not seen.
  const end = Date.now() + Number(span.dataset.retryAfter) * 1000;
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    const amounts = [[Math.floor(left / 3600), "hour"], [Math.floor(left / 60) % 60, "minute"], [left % 60, "second"]];
    const shown = amounts.filter(([n]) => n > 0);
    span.textContent = (shown.length ? shown : amounts.slice(2)).map(([n, unit]) => words(n, unit)).join(span.dataset.join);
    if (left === 0) {
      clearInterval(timer);
      const over = span.closest("[role=alert]").querySelector(".over");
      over.hidden = false;
      over.textContent = over.dataset.text;
      span.closest("p").hidden = true;
    }
  };
  const timer = setInterval(tick, 1000);
  tick();
}

const dated = document.querySelectorAll("time[datetime]");
if (dated.length) {
  const page = document.documentElement.lang;
  // The person's own variety of the page's language knows whether the day or the month comes first.
  const language = navigator.languages.find((one) => one.split("-")[0] === page.split("-")[0]) ?? page;
  const local = new Intl.DateTimeFormat(language, {
    year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short",
  });
  for (const time of dated) {
    time.textContent = local.format(new Date(time.dateTime));
  }
}
