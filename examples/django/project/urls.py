"""The shop's pages."""

from django.urls import path
from shop import views

urlpatterns = [
    path("", views.home),
    path("pages/<int:number>", views.page),
    path("sign_in", views.sign_in, name="sign_in"),
    path("settings", views.settings, name="settings"),
    path("jobs", views.jobs),
    path("up", views.up),
]
