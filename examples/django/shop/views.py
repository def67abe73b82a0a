"""Pages on which customers sign in, look around, and change their email."""

from django import forms
from django.conf import settings as configured
from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from .models import Job


class EmailForm(forms.Form):
    email = forms.EmailField(max_length=254)

    def clean_email(self):
        return self.cleaned_data["email"].lower()


def snippet(request):
    """A context processor."""
    return {"usual": configured.USUAL, "portal": configured.VIDCACHE["portal_id"]}


def sign_in(request):
    title = "Sign in"
    if request.method == "POST":
        found = get_user_model().objects.filter(username=request.POST.get("login", "")).first()
        if found:
            login(request, found)
            return redirect("/")
        title = "There is no such customer"
    return render(request, "shop/sign_in.html", {"title": title})


@login_required
def home(request):
    return render(request, "shop/page.html", {"title": f"Welcome, {request.user.username}"})


@login_required
def page(request, number):
    return render(request, "shop/page.html", {"title": f"Page {number}"})


@login_required
def settings(request):
    form = EmailForm(request.POST or {"email": request.user.email})
    if request.method == "POST" and form.is_valid():
        request.user.email = form.cleaned_data["email"]
        request.user.save(update_fields=["email"])
        return redirect("settings")
    return render(request, "shop/settings.html", {"title": "Settings", "form": form})


def jobs(request):
    return JsonResponse({"pending": Job.objects.count()})


def up(request):
    return HttpResponse()
