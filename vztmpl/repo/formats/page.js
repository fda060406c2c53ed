"use strict";
{
  // Where nobody said it, the address of the repository is that of this page.
  const standIn = document.querySelector(".start").dataset.url;
  const here = location.href.replace(/[^/]*([?#].*)?$/, "").replace(/\/$/, "");
  if (standIn && location.protocol.startsWith("http"))
    for (const word of document.querySelectorAll("pre i"))
      word.textContent = word.textContent
        .replaceAll(standIn, here)
        .replaceAll(standIn.replace("https://", ""), here.replace(/^https?:\/\//, ""));

  const form = document.getElementById("find");
  const articles = [...document.querySelectorAll("article")];
  const text = (article, part) => article.querySelector(part)?.textContent.toLowerCase() ?? "";
  const texts = new Map(
    articles.map((article) => [article, `${text(article, ".top")} ${text(article, ".packages")}`]));
  const selects = [...form.querySelectorAll("select")];
  for (const select of selects) {
    const words = new Set(articles.map((article) => article.dataset[select.name]));
    for (const word of [...words].sort()) select.add(new Option(word));
    select.parentElement.hidden = words.size < 2;
  }

  const find = () => {
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const article of articles) {
      const fits = words.every((word) => texts.get(article).includes(word)) &&
        selects.every((select) => !select.value || select.value === article.dataset[select.name]);
      article.hidden = !fits;
      count += fits;
    }
    form.querySelector("output").value = `${count} of ${articles.length}`;
    document.getElementById("none").hidden = count > 0 || !articles.length;
  };
  form.addEventListener("input", find);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = articles.length < 2;
  find();

  if (navigator.clipboard)
    for (const pre of document.querySelectorAll("pre")) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(pre.querySelector("code").textContent.trim());
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      pre.prepend(button);
    }
}
