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

// On a phone the row of pages is wider than the screen. The page that is open is not beyond its edge.
for (const current of document.querySelectorAll(":is(nav, .sorts) > [aria-current]")) {
  const row = current.parentElement;
  row.scrollLeft += Math.max(0, current.getBoundingClientRect().right + 16 - row.getBoundingClientRect().right);
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

// "4分10秒" or "4 minutes 10 seconds", inside the words that the page gives.
const inWords = (seconds, join, words) => {
  const language = document.documentElement.lang;
  const amounts = [[Math.floor(seconds / 3600), "hour"], [Math.floor(seconds / 60) % 60, "minute"], [seconds % 60, "second"]];
  const shown = amounts.filter(([n]) => n > 0);
  const text = (shown.length ? shown : amounts.slice(2)).map(([n, unit]) => {
    const one = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(n);
    return join ? one : one.replace(/\s/g, "");
  });
  return words.replace("{}", text.join(join));
};

// Asked of the clock each time, since browsers slow timers down in tabs that are not seen, and phones sleep.
const countDown = (seconds, tell, over) => {
  const end = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    tell(left);
    if (left > 0) return;
    clearInterval(timer);
    over();
  };
  const timer = setInterval(tick, 1000);
  tick();
};

for (const shown of document.querySelectorAll("[data-retry-after]")) {
  const login = document.getElementById("login");
  const locked = login?.elements.email.value;
  const forms = [...document.querySelectorAll("#login, #login-second, #login-second-code")];
  const button = (form) => form.querySelector("button[type=submit]");
  let waits = true;
  const arm = () => {
    // Another address may not be locked.
    const other = login && login.elements.email.value !== locked;
    for (const form of forms) button(form).setAttribute("aria-disabled", String(waits && !other));
  };
  login?.addEventListener("input", arm);
  for (const form of forms) {
    form.addEventListener("submit", (event) => {
      if (button(form).getAttribute("aria-disabled") !== "true") return;
      event.preventDefault();
      // Nothing is sent, so the form is not busy either.
      event.stopImmediatePropagation();
    }, true);
  }
  arm();
  shown.hidden = false;
  countDown(Number(shown.dataset.retryAfter), (left) => {
    shown.textContent = inWords(left, shown.dataset.join, shown.dataset.words);
  }, () => {
    const over = shown.parentElement.querySelector(".over");
    over.textContent = over.dataset.text;
    over.hidden = false;
    shown.hidden = true;
    waits = false;
    arm();
    (login?.elements.password ?? shown.closest("form")?.elements.code ?? document.getElementById("code"))?.focus();
  });
}

for (const button of document.querySelectorAll("button[data-wait]")) {
  const label = button.textContent;
  button.setAttribute("aria-disabled", "true");
  button.addEventListener("click", (event) => {
    if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
  });
  countDown(Number(button.dataset.wait), (left) => {
    button.textContent = inWords(left, button.dataset.join, button.dataset.words);
  }, () => {
    button.textContent = label;
    button.setAttribute("aria-disabled", "false");
  });
}

// How many characters a new password still needs, counted as the server counts: in characters and not in code units.
for (const input of document.querySelectorAll("input[data-more]")) {
  const meter = input.closest(".field").querySelector(".meter");
  input.addEventListener("input", () => {
    const missing = input.minLength - [...input.value].length;
    meter.hidden = !input.value;
    meter.classList.toggle("enough", missing <= 0);
    meter.textContent = missing > 0 ? input.dataset.more.replace("{}", missing) : input.dataset.enough;
  });
}

// The address goes along to the next page of this tab. It never goes into a URL, which servers log.
const CARRIED = "nipo_auth_mw.email";
const email = document.getElementById("email") ?? document.getElementById("whose");
for (const one of document.querySelectorAll("[data-carries]")) {
  const carry = () => { try { sessionStorage.setItem(CARRIED, email.value); } catch { /* No storage in this browser. */ } };
  one.addEventListener(one.tagName === "FORM" ? "submit" : "click", carry);
}
if (email?.dataset.carried) {
  try {
    const carried = sessionStorage.getItem(CARRIED);
    sessionStorage.removeItem(CARRIED);
    if (carried && !email.value) {
      email.value = carried;
      document.querySelector("#login input[name=password]")?.focus();
    }
  } catch { /* No storage in this browser. */ }
}

// An address that leads to an answer opens it, also in browsers that do not do so by themselves.
const openTarget = () => {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  const closed = target && target.closest("details:not([open])");
  if (closed) {
    closed.open = true;
    closed.scrollIntoView();
  }
};
openTarget();
addEventListener("hashchange", openTarget);

// What an administrator hands over is shown once: the page that the browser keeps for "Back" holds it no more.
const once = document.querySelectorAll("[data-once]");
if (once.length) {
  addEventListener("pagehide", () => {
    for (const part of once) part.remove();
    for (const part of document.querySelectorAll(".left")) part.hidden = false;
    for (const part of document.querySelectorAll("[data-print]")) part.remove();
  });
}

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// Without a secure context there is no clipboard, and the text is there to be marked.
for (const button of navigator.clipboard ? document.querySelectorAll("button[data-copy]") : []) {
  button.hidden = false;
  const words = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = words; }, 3000);
  });
}
