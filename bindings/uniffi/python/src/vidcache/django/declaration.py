"""`has_vid`: which model has the users that HubSpot has contacts for."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional, Union

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, ValidationError
from django.db import transaction

from .._page import report

Usable = Union[str, Callable[[Any], object], None]

_lock = threading.Lock()
_declared: dict[Any, Declaration] = {}
_MADE_AT = ("date_joined", "created_at", "created")


@dataclass(frozen=True)
class Declaration:
    """What `has_vid` was told of a model."""

    model: Any
    email: str
    key: str
    prefix: str
    usable: Usable
    vid: Optional[str]
    forget: bool
    told_by: Any = None

    @property
    def field(self) -> Any:
        """The email's field."""
        return self.model._meta.get_field(self.email)

    @property
    def table(self) -> str:
        """The table that has the email: of a model whose email is its parent's, the parent's."""
        return str(self.field.model._meta.db_table)

    @cached_property
    def asked(self) -> Any:
        """The other model that `usable` asks, `told_by`. Raises LookupError: there is none of that name."""
        return apps.get_model(self.told_by) if isinstance(self.told_by, str) else self.told_by

    @cached_property
    def owner(self) -> Any:
        """The foreign key of `asked` to the users. Raises ImproperlyConfigured unless it has just one."""
        fields = self.asked._meta.concrete_fields
        found = [field for field in fields if field.related_model and issubclass(self.model, field.related_model)]
        if len(found) != 1:
            raise ImproperlyConfigured(f"has_vid: told_by={self.asked._meta.label} has {len(found)} foreign keys to {self.label} instead of one")
        return found[0]

    @property
    def label(self) -> str:
        """The model's name for a job: `auth.User`."""
        return str(self.model._meta.label)

    def user_key(self, user: Any) -> Any:
        """What the cache knows the user by. Raises what the attribute raises."""
        key = user.pk if self.key == "pk" else getattr(user, self.key)
        key = key() if callable(key) else key
        return f"{self.prefix}{key}" if self.prefix and key is not None else key

    def is_usable(self, user: Any) -> bool:
        """Whether pages and jobs may use the user's email."""
        if self.usable is None:
            return True
        if callable(self.usable):
            return bool(self.usable(user))
        found = getattr(user, self.usable)
        return bool(found() if callable(found) else found)

    def email_of(self, user: Any) -> Optional[str]:
        """The email as a page would name it; None where there is none, or it may not be used."""
        email = getattr(user, self.email, None)
        if email is None or not str(email).strip() or not self.is_usable(user):
            return None
        return str(email)

    def made_at(self, user: Any) -> Optional[float]:
        """When the row was made, in seconds since 1970; None where the model keeps no time."""
        for name in _MADE_AT:
            made_at = getattr(user, name, None)
            if made_at is not None and hasattr(made_at, "timestamp"):
                return float(made_at.timestamp())
        return None

    def known_vid(self, user: Any) -> Optional[int]:
        """The contact that the app's own field names; None without one, or where it holds no contact id."""
        return None if self.vid is None else vid_of(getattr(user, self.vid, None))

    def write_back(self, user: Any, vid: int) -> None:
        """Writes a user's contact to the app's own field, past the model's `save`. Never raises: HubSpot has been
        told by now."""
        if self.vid is None or self.known_vid(user) == vid:
            return
        try:
            # In a savepoint: PostgreSQL ends a transaction in which a statement failed.
            with transaction.atomic(using=user._state.db):
                self.rows(user._state.db).filter(pk=user.pk).update(**{self.vid: vid})
        except Exception as error:
            report(f"user {self.user_key(user)}: a contact was recorded, and is not in the app's own field", error)

    def rows(self, using: Optional[str] = None) -> Any:
        """All users, past any manager that hides some."""
        return self.model._base_manager.using(using) if using else self.model._base_manager.all()

    def locked(self, connection: Any) -> Any:
        """All users, as the transaction is about to write them: whatever else would has to wait."""
        features = connection.features
        rows = self.rows(connection.alias)
        return rows.select_for_update(no_key=features.has_select_for_no_key_update) if features.has_select_for_update else rows

    def columns(self) -> list[str]:
        """The fields that say who a row is, and its email: enough where `usable` asks for no other."""
        names = {field.name for field in self.model._meta.concrete_fields}
        wanted = [self.model._meta.pk.name, self.email, self.key, *_MADE_AT]
        return [name for name in wanted if name in names]

    def with_pk(self, pk: Any, using: Optional[str] = None) -> Any:
        """The user whose row it is, or None."""
        try:
            return self.rows(using).filter(pk=pk).first()
        except (ValueError, TypeError, ValidationError):
            return None

    def with_key(self, key: Any) -> Any:
        """The user of that very key, or None."""
        text = str(key)
        if not text.startswith(self.prefix):
            return None
        try:
            user = self.rows().filter(**{self.key: text[len(self.prefix) :]}).first()
        except (ValueError, TypeError, OverflowError, ValidationError):
            return None
        # A column of integers finds 6 for "06".
        return user if user is not None and str(self.user_key(user)) == text else None


def vid_of(value: Any) -> Optional[int]:
    """The contact id that a field's value is; None: it is none."""
    text = str(value)
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,18}", text) and int(text) < 2**63 else None


def has_vid(
    model: Any = None,
    *,
    email: str = "email",
    key: str = "pk",
    prefix: str = "",
    usable: Usable = None,
    vid: Optional[str] = None,
    forget: bool = True,
    told_by: Any = None,
) -> Any:
    """Declares the model of the users that HubSpot has contacts for: as the class's decorator, `@has_vid` or
    `@has_vid(usable="confirmed")`, or, of a model that is not the app's own, `has_vid(get_user_model())` in the
    `ready` of an AppConfig. From then on each UPDATE of the email, whoever sends it through Django, begins a change
    first.

    `email`: the field with the email. `key`: the field that gives the user key, an integer, a text or a UUID that
    never changes. `prefix`: what stands before the key, to tell this model's users from another's. `usable`: an
    attribute, a method or a function of the user that says whether their email may be used, of an address that is
    not confirmed yet no; what it asks has to be saved with the user's own row, or stand in the table of `told_by`: a
    model, or its name, with one foreign key to this one. Of anything else `hubspot_email_will_change` tells. `vid`: a field of the app's own with HubSpot's contact ids, read where the file
    knows no contact of a user, and written whenever an answer is recorded. `forget`: whether a user who is deleted
    is forgotten.

    Raises ImproperlyConfigured: the model has no such fields, is abstract, or has bare ids as another model has.
    """
    if model is None:
        return lambda found: has_vid(found, email=email, key=key, prefix=prefix, usable=usable, vid=vid, forget=forget, told_by=told_by)
    declaration = Declaration(model, email, key, str(prefix), usable, vid, forget, told_by)
    _must_fit(declaration)
    with _lock:
        for other in _declared.values():
            if other.model._meta.label != declaration.label and (other.prefix, other.key) == (prefix, key) == ("", "pk"):
                raise ImproperlyConfigured(
                    f"{declaration.label} and {other.label} both have has_vid with their bare ids as keys, so number 1 of both "
                    f'would be one person to HubSpot: give one a prefix, has_vid(prefix="{model.__name__.lower()}-")'
                )
        _declared[model._meta.concrete_model] = declaration
    from . import forgetting, statements  # They ask this module who is declared.

    statements.watch_all()
    forgetting.watch_all()
    return model


def _must_fit(declaration: Declaration) -> None:
    model, label = declaration.model, declaration.label
    if model._meta.abstract or model._meta.proxy:
        raise ImproperlyConfigured(f"has_vid: {label} has no table of its own: declare the model that has")
    try:
        field = declaration.field
    except FieldDoesNotExist:
        field = None
    if field is None or not getattr(field, "concrete", False):
        raise ImproperlyConfigured(
            f"has_vid: {label} has no column {declaration.email}, so changes of it would be told to nobody. Name the field of this "
            "model that holds the email; of an email in another table docs/guides/django.md has the recipe"
        )
    for name, what in ((declaration.key, "the user key"), (declaration.vid, "HubSpot's contact ids")):
        try:
            if name not in ("pk", None):
                model._meta.get_field(name)
        except FieldDoesNotExist:
            raise ImproperlyConfigured(f"has_vid: {label} has no field {name} for {what}") from None
    if isinstance(declaration.usable, str) and not hasattr(model, declaration.usable):
        raise ImproperlyConfigured(f"has_vid: {label} has no {declaration.usable} that says whether an email may be used")
    if declaration.told_by is not None and declaration.usable is None:
        raise ImproperlyConfigured(f"has_vid: {label} has told_by, and no usable that asks it")
    if apps.models_ready:
        told_by_must_fit(declaration)


def told_by_must_fit(declaration: Declaration) -> None:
    """Where models are not loaded yet, `told_by` may name one that comes later. Raises ImproperlyConfigured."""
    if declaration.told_by is not None:
        try:
            _ = declaration.owner
        except (LookupError, ValueError):
            raise ImproperlyConfigured(f"has_vid: told_by of {declaration.label} is no model: {declaration.told_by}") from None


def declared() -> Iterable[Declaration]:
    """What was declared up to now."""
    return list(_declared.values())


def declaration_of(user: Any) -> Optional[Declaration]:
    """What was declared of a user's model, or of a model; None: nothing."""
    # `__class__` and not `type`: Django's request.user is a proxy.
    kind = user if isinstance(user, type) else user.__class__
    for base in kind.__mro__:
        found = _declared.get(base)
        if found is not None:
            return found
    return None


def named(label: str) -> Declaration:
    """What was declared of the model of that label. Raises LookupError."""
    for declaration in declared():
        if declaration.label == label:
            return declaration
    raise LookupError(f"{label} is no model with has_vid")
