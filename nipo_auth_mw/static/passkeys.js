// Passkeys: each form sends what the browser answered in a hidden field. Without this file the forms stay hidden.
"use strict";

// A challenge is good for 15 minutes, and for 5 where a passkey is made.
const AGED = { get: 14 * 60_000, create: 4 * 60_000 };

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// Some password managers hand over objects without toJSON, so the few fields are read one by one.
const asked = (options) => {
  const ids = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));
  const whole = { ...options, challenge: bytes(options.challenge) };
  if (options.user) whole.user = { ...options.user, id: bytes(options.user.id) };
  if (options.excludeCredentials) whole.excludeCredentials = ids(options.excludeCredentials);
  if (options.allowCredentials) whole.allowCredentials = ids(options.allowCredentials);
  return whole;
};
const answered = ({ rawId, type, response }) => {
  const parts = { clientDataJSON: text(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) parts[name] = text(response[name]);
  }
  if (response.attestationObject) parts.transports = response.getTransports?.() ?? [];
  const id = text(rawId);
  return JSON.stringify({ id, rawId: id, type, response: parts });
};

const PROVIDER = window.PublicKeyCredential;
let waiting = null;

// A request that waits in the autofill list must end before another one begins.
const begin = () => {
  waiting?.abort();
  waiting = new AbortController();
  return waiting.signal;
};

const prepare = (form) => {
  const kind = form.dataset.passkey;
  const options = JSON.parse(form.dataset.options);
  const hint = form.querySelector(".hint");
  const born = Date.now();
  const isAged = () => Date.now() - born > AGED[kind];
  const others = [...document.querySelectorAll("form:not([data-passkey]) input:not([type=hidden])")];
  const tell = (words) => {
    hint.textContent = words;
    hint.hidden = !words;
  };
  const send = (credential) => {
    form.elements.credential.value = answered(credential);
    const remember = document.getElementById("remember");
    if (remember) form.append(Object.assign(remember.cloneNode(), { id: "", hidden: true, checked: remember.checked }));
    form.requestSubmit();
  };
  const ask = async (more) => {
    const signal = begin();
    try {
      const found = await navigator.credentials[kind]({ publicKey: asked(options), signal, ...more });
      if (found) send(found);
    } catch (error) {
      if (signal.aborted || more.mediation) return;
      tell(error.name === "InvalidStateError" && form.dataset.known || form.dataset.notDone);
    }
  };

  form.hidden = false;
  form.addEventListener("submit", (event) => {
    if (form.elements.credential.value) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    tell("");
    if (isAged()) location.reload();
    else ask({});
  }, true);
  addEventListener("pageshow", () => { form.elements.credential.value = ""; });

  // A page that has waited gets a new challenge by itself, unless something is typed into it.
  const renew = () => {
    if (!isAged()) return;
    waiting?.abort();
    if (others.every((input) => input.value === input.defaultValue)) location.reload();
  };
  setTimeout(renew, AGED[kind] + 1000);
  addEventListener("pageshow", renew);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) renew(); });

  if (form.dataset.unknown) PROVIDER.signalUnknownCredential?.({ rpId: options.rpId, credentialId: form.dataset.unknown });
  else if (document.querySelector("input[autocomplete~=webauthn]")) {
    PROVIDER.isConditionalMediationAvailable?.().then((can) => { if (can) ask({ mediation: "conditional" }); });
  }
};

if (PROVIDER) {
  const none = document.getElementById("no-passkeys");
  if (none) none.hidden = true;
  for (const form of document.querySelectorAll("form[data-passkey]")) prepare(form);
  // Password managers learn which passkeys are left, and what the account is called.
  for (const one of document.querySelectorAll("[data-signals]")) {
    const { all, user } = JSON.parse(one.dataset.signals);
    if (all) PROVIDER.signalAllAcceptedCredentials?.(all);
    if (user) PROVIDER.signalCurrentUserDetails?.(user);
  }
}
